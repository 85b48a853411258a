# SPDX-License-Identifier: Apache-2.0
gw_fuzz(fuzz_json gw_base)
gw_fuzz(fuzz_parse gw_base)
gw_fuzz(fuzz_xml gw_base)
