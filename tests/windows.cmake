# The program for Windows, beside this machine's own (build/, see scripts/cross).
if(WIN32 AND TARGET akiembed_cli)
  add_test(NAME windows COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_windows.py ${CMAKE_CROSSCOMPILING_EMULATOR}
    $<TARGET_FILE:akiembed_cli> ${PROJECT_SOURCE_DIR}/build/akiembed ${PROJECT_BINARY_DIR}/checkpoints)
  set_tests_properties(windows PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain TIMEOUT 900)
endif()
