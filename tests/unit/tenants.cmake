# SPDX-License-Identifier: Apache-2.0
gw_test(test_exit gw_base)
gw_test(test_rule gw_tenants)
gw_test(test_secret gw_tenants PkgConfig::CRYPTO)
gw_test(test_catalog gw_tenants PkgConfig::SQLITE)
gw_test(test_catalog_rows gw_tenants)
gw_test(test_catalog_job gw_tenants)
gw_test(test_catalog_point gw_tenants)

gw_test(test_authz gw_api)
add_library(api_rig STATIC ${CMAKE_SOURCE_DIR}/tests/unit/api_rig.c)
target_link_libraries(api_rig PUBLIC gw_api net_peer)
gw_test(test_api api_rig)
gw_test(test_api_jobs api_rig)
