# SPDX-License-Identifier: Apache-2.0
gw_test(test_keyring gw_vault)
gw_test(test_writer gw_vault)
