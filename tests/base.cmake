# Tests of util/ and base/, and the laws of the tree.
aki_test(util util)
aki_test(base base)
aki_test(json base)

foreach(check includes banned sizes)
  add_test(NAME check_${check} COMMAND ${PROJECT_SOURCE_DIR}/scripts/check_${check} ${PROJECT_SOURCE_DIR})
  set_tests_properties(check_${check} PROPERTIES LABELS plain)
endforeach()
add_test(NAME check_laws_bite COMMAND ${PROJECT_SOURCE_DIR}/tests/check_laws.sh ${PROJECT_SOURCE_DIR})
add_test(NAME check_symbols
  COMMAND ${PROJECT_SOURCE_DIR}/scripts/check_symbols $<TARGET_FILE:akiembed> ${PROJECT_SOURCE_DIR}/include/akiembed.h)
set_tests_properties(check_laws_bite check_symbols PROPERTIES LABELS plain)
