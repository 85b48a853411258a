# SPDX-License-Identifier: Apache-2.0
# With clang: -DCAIRN_FUZZ=ON
#   "-DCAIRN_SANITIZE=fuzzer-no-link,address,undefined", then
#   python3 tests/fuzz/xva_seeds.py SEEDS && fuzz_xva SEEDS
option(CAIRN_FUZZ "build the fuzz targets (clang)" OFF)
if(CAIRN_FUZZ)
  add_executable(fuzz_xva ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_xva.c)
  target_link_libraries(fuzz_xva PRIVATE gw_image)
  target_link_options(fuzz_xva PRIVATE -fsanitize=fuzzer)
endif()
