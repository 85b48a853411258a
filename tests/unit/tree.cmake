# SPDX-License-Identifier: Apache-2.0
# The tree itself: arrows between the rooms, headers alone, words, the list of
# files, what grows too long.
foreach(check includes headers words files lengths)
  add_test(NAME check_tree_${check}
    COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/check_tree.py
      --root ${CMAKE_SOURCE_DIR} --cc ${CMAKE_C_COMPILER} ${check})
endforeach()
add_test(NAME check_tree_test
  COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/check_tree_test.py)
