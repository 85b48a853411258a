# SPDX-License-Identifier: Apache-2.0
# To be preloaded, in front of the sanitizers: so it has none itself.
add_library(alloc_shim MODULE ${CMAKE_SOURCE_DIR}/tests/flow/alloc_shim.c)
target_compile_options(alloc_shim PRIVATE -fno-sanitize=all)
target_link_options(alloc_shim PRIVATE -fno-sanitize=all)
target_link_libraries(alloc_shim PRIVATE ${CMAKE_DL_LIBS} Threads::Threads)
