# SPDX-License-Identifier: Apache-2.0
gw_fuzz(fuzz_seal gw_crypto)
gw_fuzz(fuzz_writer gw_vault)
