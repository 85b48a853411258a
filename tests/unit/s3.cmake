# SPDX-License-Identifier: Apache-2.0
# An S3 server that says what a test tells it to.
add_library(s3_rig STATIC ${CMAKE_SOURCE_DIR}/tests/unit/s3_rig.c)
target_link_libraries(s3_rig PUBLIC gw_s3 gw_crypto net_peer)

gw_test(test_s3_sign gw_s3 gw_crypto)
gw_test(test_s3_xml gw_s3)
gw_test(test_s3_request s3_rig)
gw_test(test_s3_retry s3_rig)
gw_test(test_s3_get s3_rig)
gw_test(test_s3_upload s3_rig)
gw_test(test_s3_client gw_store gw_s3 gw_crypto)
gw_test(test_s3_probe s3_rig)
