# SPDX-License-Identifier: Apache-2.0
add_executable(s3sink ${CMAKE_SOURCE_DIR}/tests/bench/s3sink.c
  ${CMAKE_SOURCE_DIR}/tests/bench/s3sink_answer.c
  ${CMAKE_SOURCE_DIR}/tests/bench/s3sink_stock.c)
target_link_libraries(s3sink PRIVATE gw_base PkgConfig::SSL PkgConfig::CRYPTO)
add_dependencies(bench s3sink)
