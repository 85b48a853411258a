# SPDX-License-Identifier: Apache-2.0
# Backup sessions without a pool or a daemon, judged by the reader in Python.
find_program(PYTHON3 python3 REQUIRED)
add_executable(vault_tool ${CMAKE_SOURCE_DIR}/tests/flow/vault_tool.c)
target_link_libraries(vault_tool PRIVATE gw_vault)
add_test(NAME flow_session_reader COMMAND ${PYTHON3}
  ${CMAKE_SOURCE_DIR}/tests/flow/test_session_reader.py
  $<TARGET_FILE:vault_tool>)
set_tests_properties(flow_session_reader PROPERTIES TIMEOUT 300)
