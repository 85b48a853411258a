# SPDX-License-Identifier: Apache-2.0
add_library(net_peer STATIC ${CMAKE_SOURCE_DIR}/tests/unit/net_peer.c
  ${CMAKE_SOURCE_DIR}/tests/unit/net_rig.c
  ${CMAKE_SOURCE_DIR}/tests/unit/net_site.c)
target_link_libraries(net_peer PUBLIC gw_net gw_loop gw_base PkgConfig::SSL
  PkgConfig::CRYPTO PkgConfig::CMOCKA Threads::Threads)

gw_test(test_http_head gw_net)
gw_test(test_retry gw_net)
gw_test(test_http_client net_peer)
gw_test(test_http_tls net_peer)
gw_test(test_http_flow net_peer)
gw_test(test_http_life net_peer)
gw_test(test_http_stuck net_peer)
gw_test(test_http_target gw_net)
gw_test(test_http_server net_peer)
gw_test(test_http_listen net_peer)
gw_test(test_http_storm net_peer)
gw_test(test_http_nomem net_peer)
target_link_options(test_http_nomem PRIVATE -Wl,--wrap=malloc,--wrap=calloc
  -Wl,--wrap=realloc,--wrap=strdup)
gw_threaded_test(test_http_threads net_peer)
