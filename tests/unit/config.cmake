# SPDX-License-Identifier: Apache-2.0
gw_test(test_config gw_base PkgConfig::CYAML)
target_sources(test_config PRIVATE ${CMAKE_SOURCE_DIR}/gateway/config.c
  ${CMAKE_SOURCE_DIR}/gateway/config_yaml.c)
target_compile_definitions(test_config PRIVATE
  CAIRN_SOURCE="${CMAKE_SOURCE_DIR}")
