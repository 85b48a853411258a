# SPDX-License-Identifier: Apache-2.0
# Hostile stores and bytes, over several rooms.

# A store that plays every trick of docs/format.md 8.
gw_test(test_hostile test_session_rig test_vault_rig)
target_sources(test_hostile PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/hostile_out.c
  ${CMAKE_SOURCE_DIR}/tests/unit/hostile_rig.c)

# The eyes of crypto/seal_seen.h, whatever the rest is built with.
gw_test(test_seal_seen test_session_rig PkgConfig::CRYPTO)
target_sources(test_seal_seen PRIVATE ${CMAKE_SOURCE_DIR}/crypto/seal_cipher.c
  ${CMAKE_SOURCE_DIR}/crypto/seal_seen.c)
target_compile_definitions(test_seal_seen PRIVATE CAIRN_FAILPOINTS)

gw_test(test_bombs gw_vault gw_image)
