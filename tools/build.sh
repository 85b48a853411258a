# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The build directories: build/ is what a user runs, build-asan/ has sanitizers
# and failpoints, build-tsan/ the threaded tests. Sourced; talks on stderr.

# configure DIR [CMAKE OPTION...]
configure()
{
    local dir=$1

    shift
    # A cache that another tree made (a copy, a container) serves nobody.
    if [ -f "$dir/CMakeCache.txt" ] &&
        ! grep -qx "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$dir/CMakeCache.txt"
    then
        rm -rf "$dir"
    fi
    mkdir -p "$dir"
    if ! cmake -G Ninja -S . -B "$dir" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DCMAKE_C_COMPILER=gcc "$@" >"$dir/configure.log" 2>&1; then
        cat "$dir/configure.log" >&2
        return 1
    fi
}

# build DIR TARGET...
build()
{
    local dir=$1
    local talk=()

    shift
    # A line per file is for a terminal, where one replaces the other.
    [ -t 2 ] || talk=(-- --quiet)
    say "building $dir/"
    NINJA_STATUS="[$dir %f/%t] " cmake --build "$dir" --target "$@" \
        "${talk[@]}" >&2
}

# build_programs [FURTHER TARGET...]
# shellcheck disable=SC2119,SC2120
build_programs()
{
    configure build
    build build programs "$@"
}

# shellcheck disable=SC2119
build_tests()
{
    build_programs
    configure build-asan -DCAIRN_SANITIZE=address,undefined \
        -DCAIRN_FAILPOINTS=ON
    build build-asan all
    configure build-tsan -DCAIRN_SANITIZE=thread
    build build-tsan threaded
}
