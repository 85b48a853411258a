# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Everything at once for a while, and then the checker: tests/soak/. Sourced by
# run.

. tools/test.sh

soak_usage()
{
    echo "run: soak [--seconds N] [--seed N] [--asan] [--long]" >&2
    exit 2
}

# soak_count LABEL COMMAND...: "ok" and "not ok" lines of a program, counted.
# It is ended when we are, with all it has started.
soak_count()
{
    local label=$1 log=build/soak/$1.log status=0 pid

    shift
    "$@" > >(tee "$log") &
    pid=$!
    # shellcheck disable=SC2064 # this pid
    trap "kill -INT $pid 2>/dev/null; wait $pid; exit 130" INT TERM
    wait $pid || status=$?
    trap - INT TERM
    sleep 0.2 # for tee
    count "$(grep -ac '^ok ' "$log" || true)" \
        "$(grep -ac '^not ok ' "$log" || true)" 0
    if [ "$status" -ne 0 ] && ! grep -aq '^not ok ' "$log"; then
        echo "not ok $label: exit status $status"
        count 0 1 0
    fi
}

# soak_all [--seconds N] [--seed N] [--asan] [--long]
soak_all()
{
    local seconds=600 seed='' asan='' long='' dir=$PWD/build

    while [ $# -gt 0 ]; do
        case $1 in
        --seconds) seconds=${2:-} && shift ;;
        --seed) seed=${2:-} && shift ;;
        --asan) asan=1 ;;
        --long) long=1 seconds=3600 ;;
        *) soak_usage ;;
        esac
        shift || soak_usage
    done
    [[ $seconds =~ ^[1-9][0-9]*$ && ${seed:-1} =~ ^[0-9]+$ ]] || soak_usage
    need_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
    build_programs
    if [ -n "$asan$long" ]; then
        configure build-asan -DCAIRN_SANITIZE=address,undefined \
            -DCAIRN_FAILPOINTS=ON
        build build-asan programs
        sanitizer_options
    fi
    [ -z "$asan" ] || dir=$PWD/build-asan
    mkdir -p build/soak
    export CAIRN_RELEASE=$PWD/build
    CAIRN_BUILD=$dir soak_count soak /usr/bin/python3 tests/soak/soak.py \
        --seconds "$seconds" ${seed:+--seed "$seed"} \
        --log build/soak/events.log
    if [ -n "$long" ]; then
        echo "# 200 random kills of each kind"
        CAIRN_BUILD=$PWD/build-asan CAIRN_KILLS=200 soak_count kills \
            /usr/bin/python3 tests/flow/test_gateway_crash.py
    fi
    conclude
}
