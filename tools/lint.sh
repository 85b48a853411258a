# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# clang-tidy and cppcheck over the tree, counted. Sourced by run.

. tools/test.sh

lint_tidy()
{
    # With the asserts, which tell the analyzer what cannot be.
    run-clang-tidy -quiet -p build -extra-arg=-UNDEBUG -j "$(nproc)" \
        "^$PWD/.*\.c$" >build/tidy.log 2>&1 || {
        grep -aE '(warning|error): |^ ' build/tidy.log
        return 1
    }
}

lint_cppcheck()
{
    cppcheck --project=build/compile_commands.json --quiet -j "$(nproc)" \
        --enable=warning,performance,portability --inline-suppr \
        --suppressions-list=tools/cppcheck.txt --error-exitcode=1 \
        --template='{file}:{line}: {severity}: {message} [{id}]'
}

lint_all()
{
    need_packages "${BUILD_PACKAGES[@]}" "${LINT_PACKAGES[@]}" \
        python3:python3
    step configure configure build
    if [ "$STEP" -eq 0 ]; then
        step clang-tidy lint_tidy
        step cppcheck lint_cppcheck
    fi
    conclude
}
