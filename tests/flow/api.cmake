# SPDX-License-Identifier: Apache-2.0
add_executable(api_server ${CMAKE_SOURCE_DIR}/tests/flow/api_server.c)
target_link_libraries(api_server PRIVATE api_rig)
add_test(NAME flow_openapi COMMAND ${PYTHON3}
  ${CMAKE_SOURCE_DIR}/tests/flow/test_openapi.py $<TARGET_FILE:api_server>
  ${CMAKE_SOURCE_DIR}/docs/openapi.yaml)
set_tests_properties(flow_openapi PROPERTIES TIMEOUT 300)
