# SPDX-License-Identifier: Apache-2.0
gw_test(test_s3_sign gw_s3 gw_crypto)
gw_test(test_s3_xml gw_s3)
