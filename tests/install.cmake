# The installation, used as a stranger would.
add_test(NAME install COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/install.sh ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR})
set_tests_properties(install PROPERTIES LABELS plain)

# What scripts/setup says where it installs nothing.
if(CMAKE_HOST_SYSTEM_NAME STREQUAL "Linux")
  add_test(NAME setup COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/setup.sh ${PROJECT_SOURCE_DIR})
  set_tests_properties(setup PROPERTIES LABELS plain)
endif()
