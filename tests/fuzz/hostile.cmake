# SPDX-License-Identifier: Apache-2.0
gw_fuzz(fuzz_args gw_cli)
target_sources(fuzz_args PRIVATE ${CMAKE_SOURCE_DIR}/restore/restore_args.c)
gw_fuzz(fuzz_slot gw_vault PkgConfig::ZSTD)
gw_fuzz(fuzz_tamper gw_vault)
gw_fuzz(fuzz_api api_rig)
