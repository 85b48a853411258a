#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Start OpenStack Swift with its S3 interface on 127.0.0.1, in a new folder on
# a file system with extended attributes:
#
#   swift_up.sh RUN      RUN: absolute
#
# Environment: HTTP (port; a free one is chosen), LOCATION (its region; default
# us-east-1). RUN/env tells port and keys.
# swift_down.sh RUN ends it. Swift checks more than Ceph does: the region,
# Content-MD5 of DeleteObjects, the order of parts.
set -euo pipefail
RUN=${1:?"usage: swift_up.sh RUN"}
PATH=/usr/bin:/usr/sbin:/bin:/sbin
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY

die()
{
    echo "swift_up: $*" >&2
    tail -n 5 "$RUN"/log/* >&2 2>/dev/null || true
    exit 1
}

case $RUN in /*) ;; *) die "$RUN is not absolute" ;; esac
[ ! -e "$RUN" ] || die "$RUN exists"

read -r a CACHE ACCOUNT CONTAINER OBJECT <<<"$(/usr/bin/python3 - <<'PY'
import socket
held = [socket.socket() for _ in range(5)]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
PY
)"
HTTP=${HTTP:-$a}
umask 077
mkdir -p "$RUN"/{etc,log,run,disk/sdb1}
cd "$RUN/etc"

cat >swift.conf <<CONF
[swift-hash]
swift_hash_path_suffix = cairn
swift_hash_path_prefix = test
CONF

# One ring and one server each for accounts, containers and objects.
for pair in account:$ACCOUNT container:$CONTAINER object:$OBJECT; do
    kind=${pair%%:*} port=${pair##*:}
    {
        swift-ring-builder "$kind.builder" create 4 1 1
        swift-ring-builder "$kind.builder" add "r1z1-127.0.0.1:$port/sdb1" 1
        swift-ring-builder "$kind.builder" rebalance
    } >>"$RUN/log/rings" 2>&1
    cat >"$kind.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
devices = $RUN/disk
mount_check = false
disable_fallocate = true
swift_dir = $RUN/etc
user = $(id -un)
workers = 1
[pipeline:main]
pipeline = $kind-server
[app:$kind-server]
use = egg:swift#$kind
CONF
done

pipeline="catch_errors gatekeeper proxy-logging cache listing_formats bulk
tempurl s3api tempauth copy container-quotas account-quotas slo dlo
versioned_writes symlink proxy-logging proxy-server"
cat >proxy.conf <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $HTTP
swift_dir = $RUN/etc
user = $(id -un)
workers = 2
[pipeline:main]
pipeline = $(echo $pipeline)
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$CACHE
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = ${LOCATION:-us-east-1}
storage_domain = s3.localhost
max_upload_part_num = 10000
[filter:tempauth]
use = egg:swift#tempauth
user_alice_alice = alicesecret0000000000000000000000000001 .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
allow_versioned_writes = true
CONF
for filter in catch_errors gatekeeper proxy-logging listing_formats bulk \
    tempurl copy container-quotas account-quotas slo dlo symlink; do
    printf '[filter:%s]\nuse = egg:swift#%s\n' "$filter" "${filter//-/_}" \
        >>proxy.conf
done

start()
{
    local name=$1
    shift
    setsid "$@" >"$RUN/log/$name" 2>&1 </dev/null &
    echo $! >"$RUN/run/$name.pid"
}
start memcached memcached -u "$(id -un)" -l 127.0.0.1 -p "$CACHE"
for kind in account container object; do
    start "$kind" "swift-$kind-server" "$RUN/etc/$kind.conf" -v
done
start proxy swift-proxy-server "$RUN/etc/proxy.conf" -v

# Ready when a container can be listed, not when the port is open.
ready=
for _ in $(seq 600); do
    code=$(curl -s -o /dev/null --noproxy '*' -w '%{http_code}' \
        -H 'X-Auth-User: alice:alice' \
        -H 'X-Auth-Key: alicesecret0000000000000000000000000001' \
        "http://127.0.0.1:$HTTP/auth/v1.0") || true
    if [ "$code" = 200 ]; then
        ready=1
        break
    fi
    kill -0 "$(cat "$RUN/run/proxy.pid")" 2>/dev/null || die "the proxy ended"
    sleep 0.05
done
[ -n "$ready" ] || die "the proxy does not answer"

cat >"$RUN/env" <<ENV
HTTP=$HTTP
ALICE_KEY=alice:alice
ALICE_SECRET=alicesecret0000000000000000000000000001
ENV
