# SPDX-License-Identifier: Apache-2.0
# An object store in memory that fails on demand, for whoever tests with one.
add_library(test_store_fault STATIC
  ${CMAKE_SOURCE_DIR}/tests/unit/store_fault.c
  ${CMAKE_SOURCE_DIR}/tests/unit/store_fault_bucket.c
  ${CMAKE_SOURCE_DIR}/tests/unit/store_fault_run.c)
target_include_directories(test_store_fault PUBLIC
  ${CMAKE_SOURCE_DIR}/tests/unit)
target_link_libraries(test_store_fault PUBLIC gw_store gw_loop gw_base)
