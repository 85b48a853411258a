# SPDX-License-Identifier: Apache-2.0
gw_test(test_cli_args gw_cli)
gw_test(test_cli_save gw_cli)
add_library(cli_rig STATIC ${CMAKE_SOURCE_DIR}/tests/unit/cli_rig.c)
target_link_libraries(cli_rig PUBLIC gw_cli api_rig)
target_compile_definitions(cli_rig PRIVATE CAIRN_BIN="$<TARGET_FILE:cairn>")
add_dependencies(cli_rig cairn)
gw_test(test_cli cli_rig)
gw_test(test_cli_jobs cli_rig)
