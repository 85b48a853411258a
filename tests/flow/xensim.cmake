# SPDX-License-Identifier: Apache-2.0
# What judges the pool simulator. The scripts find xensim in CAIRN_BUILD.
foreach(judge wire faults import xva_img xen_api)
  add_test(NAME flow_xensim_${judge} COMMAND ${PYTHON3}
    ${CMAKE_SOURCE_DIR}/tests/flow/xensim_${judge}.py)
  set_tests_properties(flow_xensim_${judge} PROPERTIES TIMEOUT 600
    ENVIRONMENT "CAIRN_BUILD=${CMAKE_BINARY_DIR}")
endforeach()
