# SPDX-License-Identifier: Apache-2.0
# An object store in memory that fails on demand, and plain calls of any store,
# for whoever tests with them.
add_library(test_store_fault STATIC
  ${CMAKE_SOURCE_DIR}/tests/unit/store_dir_rig.c
  ${CMAKE_SOURCE_DIR}/tests/unit/store_fault.c
  ${CMAKE_SOURCE_DIR}/tests/unit/store_fault_bucket.c
  ${CMAKE_SOURCE_DIR}/tests/unit/store_fault_run.c
  ${CMAKE_SOURCE_DIR}/tests/unit/store_try.c)
target_include_directories(test_store_fault PUBLIC
  ${CMAKE_SOURCE_DIR}/tests/unit)
target_link_libraries(test_store_fault PUBLIC gw_store gw_loop gw_base)

gw_threaded_test(test_store_dir test_store_fault)
gw_threaded_test(test_store_dir_trouble test_store_fault)
gw_threaded_test(test_store_dir_upload test_store_fault)
gw_test(test_store_faults test_store_fault)
gw_test(test_alloc_store test_store_fault gw_s3 gw_crypto test_alloc_fail)
