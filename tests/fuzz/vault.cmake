# SPDX-License-Identifier: Apache-2.0
gw_fuzz(fuzz_point gw_vault)
gw_fuzz(fuzz_list gw_vault)
gw_fuzz(fuzz_run gw_vault)
gw_fuzz(fuzz_map gw_vault)
gw_fuzz(fuzz_pack gw_vault)
gw_fuzz(fuzz_name gw_vault)
