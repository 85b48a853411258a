#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# End what rgw_up.sh started in RUN, and remove the folder. Nothing is to be
# kept, so the daemons are killed; each only if its pid still is that daemon's.
RUN=${1:?"usage: rgw_down.sh RUN"}
[ -f "$RUN/ceph.conf" ] || exit 0
for name in rgw osd.0 mon.a; do
    pid=$(cat "$RUN/run/$name.pid" 2>/dev/null) || continue
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null |
        grep -qE '^(radosgw|ceph-osd|ceph-mon) ' && kill -KILL "$pid"
done
rm -rf "$RUN"
