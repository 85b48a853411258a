# SPDX-License-Identifier: Apache-2.0
gw_test(test_name gw_vault)
gw_test(test_field gw_vault)
gw_test(test_map gw_vault)
gw_test(test_condemned gw_vault)
gw_test(test_pack_layout gw_vault)
gw_test(test_point gw_vault)
gw_test(test_list gw_vault)
gw_threaded_test(test_index gw_vault)

# Backups over a store in memory, and a reader of what came of them.
add_library(test_session_rig STATIC
  ${CMAKE_SOURCE_DIR}/tests/unit/session_rig.c
  ${CMAKE_SOURCE_DIR}/tests/unit/session_rig_read.c)
target_compile_definitions(test_session_rig PRIVATE
  CAIRN_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
target_link_libraries(test_session_rig PUBLIC gw_vault test_store_fault
  PkgConfig::CMOCKA)

gw_threaded_test(test_session test_session_rig)
gw_test(test_session_commit test_session_rig)
gw_test(test_session_pages test_session_rig)
gw_threaded_test(test_session_fail test_session_rig)
gw_test(test_session_lock test_session_rig)
gw_threaded_test(test_session_spill test_session_rig)
gw_test(test_index_fill test_session_rig)
gw_test(test_confirm test_session_rig)
gw_test(test_pack_read test_session_rig)
gw_test(test_alloc_session test_session_rig test_alloc_fail)
gw_threaded_test(test_session_threads test_session_rig)
