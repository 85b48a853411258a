# SPDX-License-Identifier: Apache-2.0
# The small vault of the vectors in a store in memory, for whoever reads it.
add_library(test_vault_rig STATIC ${CMAKE_SOURCE_DIR}/tests/unit/vault_rig.c
  ${CMAKE_SOURCE_DIR}/tests/unit/vault_make.c
  ${CMAKE_SOURCE_DIR}/tests/unit/vault_walk.c
  ${CMAKE_SOURCE_DIR}/tests/unit/walk_rig.c)
target_compile_definitions(test_vault_rig PRIVATE
  CAIRN_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
target_link_libraries(test_vault_rig PUBLIC gw_vault test_store_fault
  PkgConfig::CMOCKA PRIVATE PkgConfig::ZSTD)

gw_test(test_keyring gw_vault)
gw_test(test_writer gw_vault)
gw_threaded_test(test_vault_open test_vault_rig)
gw_threaded_test(test_vault_create test_vault_rig)
gw_test(test_points test_vault_rig)
gw_test(test_walk_vectors test_vault_rig)
gw_threaded_test(test_walk test_vault_rig)
gw_threaded_test(test_walk_trouble test_vault_rig)
gw_threaded_test(test_verify test_vault_rig)
gw_test(test_presence test_vault_rig)
gw_test(test_alloc_reading test_vault_rig test_alloc_fail)
