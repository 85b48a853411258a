# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# libFuzzer over every target of tests/fuzz/, one after the other, under ASan
# and UBSan. What it learns is kept in build-fuzz/corpus/, what it finds in
# build-fuzz/found/, its words in build-fuzz/log/. Sourced by run.

. tools/test.sh

# fuzz_one TARGET SECONDS: prints how much was run.
fuzz_one()
{
    local name=$1 seconds=$2 dir=$PWD/build-fuzz status=0 log runs covered
    local seeds=$PWD/tests/fuzz/corpus/$name

    log=$dir/log/$name
    mkdir -p "$dir/log" "$dir/found" "$dir/corpus/$name" "$dir/run/$name"
    (cd "$dir/run/$name" &&
        ASAN_OPTIONS=detect_stack_use_after_return=1 \
            UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
            "$dir/tests/$name" -max_total_time="$seconds" -timeout=30 \
            -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
            -artifact_prefix="$dir/found/$name-" \
            "$dir/corpus/$name" "$seeds") >"$log" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -ao ' cov: [0-9]*' "$log" | tail -1)
    if [ "$status" -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
        echo "ok $name: $runs runs in $seconds s,${covered:- nothing} covered"
        count 1 0 0
    else
        echo "not ok $name: exit status $status, see $log"
        tail -n 30 "$log"
        count 0 1 0
    fi
}

# fuzz_all [SECONDS [TARGET...]]
fuzz_all()
{
    local seconds=${1:-20} name names=()

    [[ $seconds =~ ^[1-9][0-9]*$ ]] || {
        echo "run: fuzz SECONDS, not $seconds" >&2
        exit 2
    }
    need_packages "${BUILD_PACKAGES[@]}" "${LINT_PACKAGES[@]}" python3:python3
    configure build-fuzz -DCMAKE_C_COMPILER=clang -DCAIRN_FUZZ=ON \
        -DCAIRN_SANITIZE=address,undefined
    build build-fuzz fuzz
    names=("${@:2}")
    if [ ${#names[@]} -eq 0 ]; then
        for name in tests/fuzz/fuzz_*.c; do
            name=${name##*/}
            names+=("${name%.c}")
        done
    fi
    for name in "${names[@]}"; do
        fuzz_one "$name" "$seconds"
    done
    conclude
}
