# SPDX-License-Identifier: Apache-2.0
# Fills the NTFS image that a gateway flow test backs up. The library is a
# package that only ./run test installs: who builds the programs needs none.
pkg_check_modules(NTFS IMPORTED_TARGET libntfs-3g)
if(NTFS_FOUND)
  add_executable(ntfs_fill ${CMAKE_SOURCE_DIR}/tests/flow/ntfs_fill.c)
  target_link_libraries(ntfs_fill PRIVATE PkgConfig::NTFS)
endif()
