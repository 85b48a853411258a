# SPDX-License-Identifier: Apache-2.0
add_executable(api_server ${CMAKE_SOURCE_DIR}/tests/flow/api_server.c)
target_link_libraries(api_server PRIVATE api_rig)
add_test(NAME flow_openapi COMMAND ${PYTHON3}
  ${CMAKE_SOURCE_DIR}/tests/flow/test_openapi.py $<TARGET_FILE:api_server>
  ${CMAKE_SOURCE_DIR}/docs/openapi.yaml)
set_tests_properties(flow_openapi PROPERTIES TIMEOUT 300)
add_test(NAME flow_openapi_gateway COMMAND ${PYTHON3}
  ${CMAKE_SOURCE_DIR}/tests/flow/test_openapi_gateway.py
  ${CMAKE_SOURCE_DIR}/docs/openapi.yaml)
set_tests_properties(flow_openapi_gateway PROPERTIES TIMEOUT 900
  ENVIRONMENT "CAIRN_BUILD=${CMAKE_BINARY_DIR}")
