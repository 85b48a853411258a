# SPDX-License-Identifier: Apache-2.0
gw_test(test_buf gw_base)
gw_test(test_json gw_base)
gw_test(test_xml gw_base)
gw_test(test_clock gw_base)
gw_test(test_parse gw_base)
gw_test(test_xmlrpc gw_base)
