# SPDX-License-Identifier: Apache-2.0
add_executable(s3tool ${CMAKE_SOURCE_DIR}/tests/flow/s3tool.c)
target_link_libraries(s3tool PRIVATE gw_store gw_s3 gw_crypto)
add_executable(s3sign ${CMAKE_SOURCE_DIR}/tests/flow/s3sign.c)
target_link_libraries(s3sign PRIVATE gw_s3 gw_crypto)
