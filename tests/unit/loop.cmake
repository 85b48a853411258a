# SPDX-License-Identifier: Apache-2.0
gw_threaded_test(test_budget gw_loop)
gw_threaded_test(test_delay gw_loop)
gw_threaded_test(test_heavy gw_loop)
gw_threaded_test(test_lane gw_loop)
gw_threaded_test(test_loop gw_loop)
gw_test(test_slab gw_loop)
gw_test(test_timer gw_loop)
gw_threaded_test(test_work gw_loop)
