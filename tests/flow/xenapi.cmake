# SPDX-License-Identifier: Apache-2.0
# xenapi/ against the pool simulator.
add_library(pool_rig STATIC ${CMAKE_SOURCE_DIR}/tests/flow/pool_rig.c
  ${CMAKE_SOURCE_DIR}/tests/flow/sim_rig.c
  ${CMAKE_SOURCE_DIR}/tests/flow/snapshot_rig.c)
target_include_directories(pool_rig PUBLIC ${CMAKE_SOURCE_DIR}/tests/flow)
target_compile_definitions(pool_rig PRIVATE
  CAIRN_XENSIM="${CMAKE_BINARY_DIR}/xensim")
target_link_libraries(pool_rig PUBLIC gw_xenapi gw_net gw_loop gw_base
  PkgConfig::CMOCKA)
foreach(name test_xenapi_session test_xenapi_call test_xenapi_snapshot
    test_xenapi_vm test_xenapi_event test_xenapi_task test_xenapi_export
    test_xenapi_import)
  add_executable(${name} ${CMAKE_SOURCE_DIR}/tests/flow/${name}.c)
  target_link_libraries(${name} PRIVATE pool_rig gw_image gw_crypto)
  add_dependencies(${name} xensim)
  add_test(NAME flow_${name} COMMAND ${name})
  set_tests_properties(flow_${name} PROPERTIES TIMEOUT 300)
endforeach()
target_sources(test_xenapi_export PRIVATE
  ${CMAKE_SOURCE_DIR}/tests/flow/export_rig.c)
target_sources(test_xenapi_import PRIVATE
  ${CMAKE_SOURCE_DIR}/tests/flow/import_rig.c)
add_executable(test_xenapi_alloc
  ${CMAKE_SOURCE_DIR}/tests/flow/test_xenapi_alloc.c)
target_link_libraries(test_xenapi_alloc PRIVATE pool_rig test_alloc_fail)
add_dependencies(test_xenapi_alloc xensim)
add_test(NAME flow_test_xenapi_alloc COMMAND test_xenapi_alloc)
set_tests_properties(flow_test_xenapi_alloc PROPERTIES TIMEOUT 600)
