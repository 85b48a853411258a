# SPDX-License-Identifier: Apache-2.0
gw_test(test_name gw_vault)
gw_test(test_field gw_vault)
gw_test(test_map gw_vault)
gw_test(test_condemned gw_vault)
gw_test(test_pack_layout gw_vault)
gw_test(test_point gw_vault)
gw_test(test_list gw_vault)
gw_test(test_index gw_vault)
