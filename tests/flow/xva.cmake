# SPDX-License-Identifier: Apache-2.0
add_executable(xva_tool ${CMAKE_SOURCE_DIR}/tests/flow/xva_tool.c)
target_link_libraries(xva_tool PRIVATE gw_image)
add_test(NAME flow_xva COMMAND ${PYTHON3}
  ${CMAKE_SOURCE_DIR}/tests/flow/xva_test.py $<TARGET_FILE:xva_tool>)
set_tests_properties(flow_xva PROPERTIES TIMEOUT 300)
