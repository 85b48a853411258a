# SPDX-License-Identifier: Apache-2.0
# The pool simulator. It shares no codec with the product: of the rooms it
# links base alone.
file(GLOB xensim_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/sim/*.c)
add_executable(xensim ${xensim_sources})
target_link_libraries(xensim PRIVATE gw_base PkgConfig::SSL PkgConfig::CRYPTO
  PkgConfig::ZSTD PkgConfig::XXHASH Threads::Threads)
set_target_properties(xensim PROPERTIES RUNTIME_OUTPUT_DIRECTORY
  ${CMAKE_BINARY_DIR})
