# SPDX-License-Identifier: Apache-2.0
gw_test(test_buf gw_base)
