#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# End what swift_up.sh started in RUN, and remove the folder. Each server was
# started as the leader of its own session, so its workers end with it; each
# only if its pid still is that server's.
RUN=${1:?"usage: swift_down.sh RUN"}
[ -d "$RUN/etc" ] || exit 0
for name in proxy object container account memcached; do
    pid=$(cat "$RUN/run/$name.pid" 2>/dev/null) || continue
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null |
        grep -qE 'memcached|swift-' && kill -KILL -- "-$pid"
done
rm -rf "$RUN"
