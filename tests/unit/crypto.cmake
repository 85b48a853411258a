# SPDX-License-Identifier: Apache-2.0
gw_test(test_seal_digest gw_crypto PkgConfig::CRYPTO)
gw_test(test_seal_key gw_crypto)
gw_test(test_seal_wrap gw_crypto)
gw_test(test_seal_slot gw_crypto PkgConfig::CRYPTO)
gw_test(test_seal_stream gw_crypto)
gw_test(test_seal_blob gw_crypto)
