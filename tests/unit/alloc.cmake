# SPDX-License-Identifier: Apache-2.0
# For tests that make the n-th allocation fail; see tests/unit/alloc_fail.h.
add_library(test_alloc_fail STATIC ${CMAKE_SOURCE_DIR}/tests/unit/alloc_fail.c)
target_include_directories(test_alloc_fail PUBLIC ${CMAKE_SOURCE_DIR}/tests/unit)
target_link_options(test_alloc_fail INTERFACE
  -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=mmap)

gw_test(test_alloc_base gw_base test_alloc_fail PkgConfig::JANSSON)
gw_test(test_alloc_loop gw_loop test_alloc_fail)
