# SPDX-License-Identifier: Apache-2.0
add_executable(bench_limit ${CMAKE_SOURCE_DIR}/tests/bench/limit.c
  ${CMAKE_SOURCE_DIR}/tests/bench/limit_hmac.c)
target_link_libraries(bench_limit PRIVATE PkgConfig::CRYPTO PkgConfig::ZSTD
  PkgConfig::XXHASH)
add_executable(bench_bare ${CMAKE_SOURCE_DIR}/tests/bench/bare.c)
target_link_libraries(bench_bare PRIVATE PkgConfig::CURL PkgConfig::UV)
add_executable(bench_index ${CMAKE_SOURCE_DIR}/tests/bench/index.c)
target_link_libraries(bench_index PRIVATE gw_vault gw_store)
add_dependencies(bench bench_limit bench_bare bench_index programs)
