# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# libFuzzer over every target of tests/fuzz/, as many at a time as there are
# cores, under ASan and UBSan. What it learns is kept in build-fuzz/corpus/,
# what it finds in build-fuzz/found/, its words in build-fuzz/log/. Sourced by
# run.
#
# CAIRN_FUZZ_SEED in the environment makes two runs of one program begin alike.

. tools/test.sh

# fuzz_one TARGET: what it says and how it ended go to its log. Several run at
# a time.
fuzz_one()
{
    local name=$1 dir=$PWD/build-fuzz status=0
    local seeds=$PWD/tests/fuzz/corpus/$name log=$dir/log/$name

    mkdir -p "$dir/found" "$dir/corpus/$name" "$dir/run/$name"
    (cd "$dir/run/$name" &&
        ASAN_OPTIONS=detect_stack_use_after_return=1 \
            UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
            "$dir/tests/$name" -max_total_time="$FUZZ_SECONDS" -timeout=60 \
            -seed="${CAIRN_FUZZ_SEED:-0}" -rss_limit_mb=2048 -max_len=65536 \
            -print_final_stats=1 -artifact_prefix="$dir/found/$name-" \
            "$dir/corpus/$name" "$seeds") >"$log" 2>&1 || status=$?
    echo $status >"$log.status"
    echo "$name ended with $status" >&2
}

# count_fuzz TARGET: how much was run, and of how much code.
count_fuzz()
{
    local name=$1 log=build-fuzz/log/$1 status runs covered

    status=$(cat "$log.status" || echo "not run")
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    if [ "$status" = 0 ] && [ "${runs:-0}" -gt 0 ]; then
        echo "ok $name: $runs runs in $FUZZ_SECONDS s, ${covered:-0} edges"
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
    local name names=()

    export FUZZ_SECONDS=${1:-20}
    [[ $FUZZ_SECONDS =~ ^[1-9][0-9]*$ ]] || {
        echo "run: fuzz SECONDS, not $FUZZ_SECONDS" >&2
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
    rm -rf build-fuzz/log
    mkdir -p build-fuzz/log
    export -f fuzz_one
    # shellcheck disable=SC2016 # the inner shell's
    printf '%s\n' "${names[@]}" |
        xargs -P "$(nproc)" -n 1 bash -c 'fuzz_one "$0"' || true
    for name in "${names[@]}"; do
        count_fuzz "$name"
    done
    conclude
}
