# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The mutants of tests/mutants/: each must make its test fail. Sourced by run
# and by tools/test.sh.

# mutants_all [NAME...]: those, or each of them.
mutants_all()
{
    local names=("$@")

    need_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
    configure build-asan -DCAIRN_SANITIZE=address,undefined \
        -DCAIRN_FAILPOINTS=ON
    [ $# -gt 0 ] || names=(--all)
    /usr/bin/python3 tests/mutants/run.py "${names[@]}"
}
