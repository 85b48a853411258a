# SPDX-License-Identifier: Apache-2.0
gw_fuzz(fuzz_s3_xml gw_s3)
