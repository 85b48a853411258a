# SPDX-License-Identifier: Apache-2.0
gw_test(test_xva_read gw_image PkgConfig::ZSTD PkgConfig::XXHASH)
gw_test(test_xva_damage gw_image PkgConfig::ZSTD PkgConfig::XXHASH)
gw_test(test_xva_write gw_image PkgConfig::XXHASH)
gw_test(test_ova gw_image)
gw_test(test_alloc_image gw_image test_alloc_fail PkgConfig::ZSTD PkgConfig::XXHASH)
