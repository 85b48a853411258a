# SPDX-License-Identifier: Apache-2.0
# What test_gateway_power.py records with. It is loaded into programs with and
# without sanitizers, so it has none itself.
add_library(write_log MODULE ${CMAKE_SOURCE_DIR}/tests/flow/write_log.c)
target_compile_options(write_log PRIVATE -fno-sanitize=all
  -U_FORTIFY_SOURCE -fno-builtin)
target_link_options(write_log PRIVATE -fno-sanitize=all)
set_target_properties(write_log PROPERTIES PREFIX ""
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
