# SPDX-License-Identifier: Apache-2.0
gw_fuzz(fuzz_http_head gw_net)
gw_fuzz(fuzz_http_server gw_net)
gw_fuzz(fuzz_http_target gw_net)
gw_fuzz(fuzz_config gw_net PkgConfig::CYAML)
target_sources(fuzz_config PRIVATE ${CMAKE_SOURCE_DIR}/gateway/config.c
  ${CMAKE_SOURCE_DIR}/gateway/config_yaml.c)
