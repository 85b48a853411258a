#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Start one Ceph RADOS Gateway on 127.0.0.1, with a monitor and one storage
# daemon in memory behind it, all of it in a new folder:
#
#   rgw_up.sh RUN        RUN: absolute and short (unix sockets: 107 bytes)
#
# Environment: HTTP, HTTPS, MONPORT (ports; free ones are chosen), MAXREQ
# (requests at once, else 503 SlowDown), MINPART (bytes), TIMEOUT_MS (idle and
# stalled connections), OSD=bluestore (on a file, for much data).
# RUN/env tells ports, keys and CA as NAME=value. rgw_down.sh RUN ends it.
set -euo pipefail
RUN=${1:?"usage: rgw_up.sh RUN"}
PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY

die()
{
    echo "rgw_up: $*" >&2
    tail -n 5 "$RUN"/log/* >&2 2>/dev/null || true
    exit 1
}

case $RUN in /*) ;; *) die "$RUN is not absolute" ;; esac
[ ${#RUN} -le 60 ] || die "$RUN is too long for unix sockets"
[ ! -e "$RUN" ] || die "$RUN exists"

# Ports that nobody listens on now. A race with others is lost loudly: the
# daemon does not start.
free_ports()
{
    /usr/bin/python3 - "$1" <<'PY'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
PY
}

read -r a b c d e f <<<"$(free_ports 6)"
HTTP=${HTTP:-$a} HTTPS=${HTTPS:-$b} MONPORT=${MONPORT:-$c}
OSD=${OSD:-memstore} MAXREQ=${MAXREQ:-1024} MINPART=${MINPART:-5242880}
TIMEOUT_MS=${TIMEOUT_MS:-65000}

umask 077
mkdir -p "$RUN"/{mon,osd,rgw,log,run,tls}
cd "$RUN"
fsid=$(cat /proc/sys/kernel/random/uuid)
osd_id=$(cat /proc/sys/kernel/random/uuid)

# The two paxos settings save a second for each pool that is made; the gc ones
# give memory back soon after objects are removed.
cat >ceph.conf <<CONF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$MONPORT
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind port min = $d
ms bind port max = $((d + 200))
ms cluster mode = crc
ms service mode = crc
ms client mode = crc
auth allow insecure global id reclaim = false
run dir = $RUN/run
admin socket = $RUN/run/\$name.asok
pid file = $RUN/run/\$name.pid
log file = $RUN/log/\$name.log
mon cluster log file = $RUN/log/cluster.log
keyring = $RUN/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
paxos propose interval = 0.05
paxos min wait = 0.01
debug ms = 0/0
[mon]
mon data = $RUN/mon
mon data avail crit = 1
mon data avail warn = 2
[osd]
osd data = $RUN/osd
osd objectstore = $OSD
memstore device bytes = 8589934592
memstore page set = false
bluestore block size = 21474836480
bluestore cache autotune = false
bluestore cache size = 268435456
osd max object size = 1073741824
[client.rgw]
rgw data = $RUN/rgw
rgw frontends = beast endpoint=127.0.0.1:$HTTP ssl_endpoint=127.0.0.1:$HTTPS ssl_certificate=$RUN/tls/server.pem ssl_private_key=$RUN/tls/server.key request_timeout_ms=$TIMEOUT_MS
rgw dns name = s3.localhost
rgw max concurrent requests = $MAXREQ
rgw multipart min part size = $MINPART
rgw crypt require ssl = false
rgw s3 auth use sts = true
rgw sts key = abcdefghijklmnop
rgw gc obj min wait = 0
rgw gc processor period = 5
rgw gc processor max time = 5
rgw bucket quota ttl = 0
rgw enable ops log = false
CONF
export CEPH_CONF=$RUN/ceph.conf

# A CA of our own and a certificate for every name the tests use.
{
    openssl ecparam -name prime256v1 -genkey -noout -out tls/ca.key
    openssl req -x509 -new -key tls/ca.key -days 30 -subj "/CN=Cairn test CA" \
        -out tls/ca.pem
    openssl ecparam -name prime256v1 -genkey -noout -out tls/server.key
    openssl req -new -key tls/server.key -subj "/CN=localhost" \
        -out tls/server.csr
    echo "subjectAltName=DNS:localhost,DNS:s3.localhost,DNS:*.s3.localhost,IP:127.0.0.1" \
        >tls/san
    openssl x509 -req -in tls/server.csr -CA tls/ca.pem -CAkey tls/ca.key \
        -CAcreateserial -days 30 -out tls/server.pem -extfile tls/san
} >log/tls 2>&1 || die "no certificates"

key() { ceph-authtool "$@" >/dev/null; }
all=(--cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *')
key -C keyring --gen-key -n mon. --cap mon 'allow *'
key keyring --gen-key -n client.admin "${all[@]}"
key keyring --gen-key -n client.rgw "${all[@]}"
key keyring --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' \
    --cap mgr 'allow profile osd'

monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$MONPORT]" monmap \
    >/dev/null
ceph-mon --mkfs -i a --monmap monmap --keyring keyring
ceph-mon -i a >log/mon.out 2>&1 || die "the monitor did not start"
ceph --connect-timeout 20 osd new "$osd_id" 0 >/dev/null ||
    die "the monitor does not answer"
ceph-osd -i 0 --mkfs --osd-uuid "$osd_id" >log/osd.out 2>&1
ceph-osd -i 0 >>log/osd.out 2>&1 || die "the storage daemon did not start"
setsid radosgw -n client.rgw -f >log/rgw.out 2>&1 </dev/null &
echo $! >run/rgw.pid

ready=
for _ in $(seq 600); do
    if curl -s -o /dev/null --noproxy '*' "http://127.0.0.1:$HTTP/"; then
        ready=1
        break
    fi
    kill -0 "$(cat run/rgw.pid)" 2>/dev/null || die "radosgw ended"
    sleep 0.05
done
[ -n "$ready" ] || die "radosgw does not answer"

user()
{
    radosgw-admin user create --uid "$1" --display-name "$1" \
        --access-key "$2" --secret-key "$3" >/dev/null
}
user alice ALICEKEY00000000001 alicesecret0000000000000000000000000001
user bob BOBKEY0000000000001 bobsecret000000000000000000000000000001

cat >env <<ENV
HTTP=$HTTP
HTTPS=$HTTPS
CA=$RUN/tls/ca.pem
ALICE_KEY=ALICEKEY00000000001
ALICE_SECRET=alicesecret0000000000000000000000000001
BOB_KEY=BOBKEY0000000000001
BOB_SECRET=bobsecret000000000000000000000000000001
ENV
