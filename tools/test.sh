# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Everything that checks Cairn, counted. Sourced by run and .ci/run.

SUITE_SECONDS=3600
SOME_MUTANTS=24
PASSED=0
FAILED=0
SKIPPED=0

# count PASSED FAILED SKIPPED
count()
{
    PASSED=$((PASSED + $1))
    FAILED=$((FAILED + $2))
    SKIPPED=$((SKIPPED + $3))
}

# The counting line, last of all; false when something failed.
conclude()
{
    local line="$PASSED passed, $FAILED failed"

    [ "$SKIPPED" -eq 0 ] || line+=", $SKIPPED skipped"
    echo "$line"
    [ "$FAILED" -eq 0 ]
}

# step NAME COMMAND...: one check that holds or does not; STEP says which.
# Not to be called within a condition, where the shell ignores set -e.
step()
{
    local name=$1

    shift
    set +e
    (
        set -e
        "$@"
    )
    STEP=$?
    set -e
    if [ $STEP -eq 0 ]; then
        echo "ok $name"
        count 1 0 0
    else
        echo "not ok $name: exit status $STEP"
        count 0 1 0
    fi
}

# run_ctest DIR LABEL [CTEST OPTION...]: each test of ctest counts as one.
run_ctest()
{
    local dir=$1 label=$2 junit status=0
    local plain=()

    shift 2
    junit=$PWD/$dir/junit.xml
    rm -f "$junit"
    # TSan's shadow memory and the kernel's widest address randomization do not
    # go together; without it all is well. Not every container allows that.
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        plain=(setarch "$(uname -m)" -R)
    fi
    echo "# $label"
    "${plain[@]}" ctest --test-dir "$dir" -j "$(nproc)" --no-tests=error \
        --output-on-failure --output-junit "$junit" "$@" || status=$?
    # shellcheck disable=SC2046 # three numbers
    count $(python3 tools/count_junit.py "$junit" $status)
}

# suite FILE: run it, keep what it says and how it ended, then say it in one
# piece. Several run at a time.
suite()
{
    local file=$1 log=build-asan/suites/${1##*/}.log with=bash status=0

    case $file in *.py) with=/usr/bin/python3 ;; esac
    timeout --kill-after=30 $SUITE_SECONDS $with "$file" >"$log" 2>&1 ||
        status=$?
    echo $status >"$log.status"
    {
        flock 9
        echo "# $file"
        cat "$log"
    } 9>build-asan/suites/lock
}

# count_log NAME LOG STATUS: a program that prints "ok NAME", "not ok NAME: WHY"
# or "skip NAME: WHY" per case. One that ends badly without saying so, or that
# says nothing, has failed.
count_log()
{
    local name=$1 log=$2 status=$3 passed failed skipped

    passed=$(grep -ac '^ok ' "$log" || true)
    failed=$(grep -ac '^not ok ' "$log" || true)
    skipped=$(grep -ac '^skip ' "$log" || true)
    if [ "$failed" -eq 0 ] && [ "$status" -ne 0 ]; then
        echo "not ok $name: exit status $status"
        failed=1
    elif [ $((passed + failed + skipped)) -eq 0 ]; then
        echo "not ok $name: no case was run"
        failed=1
    fi
    count "$passed" "$failed" "$skipped"
}

sanitizer_options()
{
    export ASAN_OPTIONS=detect_stack_use_after_return=1
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
}

# Suites find their programs in CAIRN_BUILD (sanitizers and failpoints) or, to
# measure memory or speed, in CAIRN_RELEASE.
run_suites()
{
    local file log files=()

    export CAIRN_BUILD=$PWD/build-asan CAIRN_RELEASE=$PWD/build SUITE_SECONDS
    rm -rf build-asan/suites
    mkdir -p build-asan/suites
    for file in tests/flow/test_*.py tests/flow/test_*.sh; do
        # What ctest has run is not run again.
        if [ -f "$file" ] &&
            ! grep -qF "/flow/${file##*/}" tests/flow/*.cmake; then
            files+=("$file")
        fi
    done
    export -f suite
    # They wait as much as they work: three on two cores, whoever is next.
    # shellcheck disable=SC2016 # the inner shell's
    printf '%s\n' "${files[@]}" |
        xargs -P $(((3 * $(nproc) + 1) / 2)) -n 1 bash -c 'suite "$0"' || true
    for file in "${files[@]}"; do
        log=build-asan/suites/${file##*/}.log
        count_log "$file" "$log" "$(cat "$log.status")"
    done
    # What failed is easily missed among the rest.
    grep -a '^not ok ' build-asan/suites/*.log | sed 's/^/# /' || true
}

# A few of the mutants of tests/mutants/, other ones each day: would these tests
# tell? All of them: ./run mutants
run_mutants()
{
    local log=build-asan/mutants.log status=0

    echo "# tests/mutants/"
    /usr/bin/python3 tests/mutants/run.py --some $SOME_MUTANTS >"$log" 2>&1 ||
        status=$?
    cat "$log"
    count_log tests/mutants/run.py "$log" $status
}

test_all()
{
    need_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
    need_npm
    step build build_tests
    if [ "$STEP" -eq 0 ]; then
        sanitizer_options
        run_ctest build-asan "unit tests, ASan and UBSan"
        run_ctest build-tsan "threaded tests, TSan" -L threaded
        run_mutants
        run_suites
    fi
    conclude
}
