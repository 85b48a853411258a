# SPDX-License-Identifier: Apache-2.0
gw_test(test_cli_args gw_cli)
gw_test(test_cli_save gw_cli)
gw_test(test_cli gw_cli api_rig)
add_dependencies(test_cli cairn)
target_compile_definitions(test_cli PRIVATE CAIRN_BIN="$<TARGET_FILE:cairn>")
