# SPDX-License-Identifier: Apache-2.0
gw_fuzz(fuzz_xva gw_image)
gw_fuzz(fuzz_xapi gw_image gw_xenapi)
