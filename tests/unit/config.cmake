# SPDX-License-Identifier: Apache-2.0
gw_test(test_config gw_gateway net_peer)
target_compile_definitions(test_config PRIVATE
  CAIRN_SOURCE="${CMAKE_SOURCE_DIR}")
