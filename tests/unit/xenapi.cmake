# SPDX-License-Identifier: Apache-2.0
gw_test(test_xenapi_backlog gw_xenapi)
gw_test(test_xenapi_rpc gw_xenapi test_alloc_fail)
