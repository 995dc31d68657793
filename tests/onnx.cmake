# Runs of .onnx files side by side.
aki_test(onnx_file all)
set_tests_properties(onnx_file PROPERTIES FIXTURES_REQUIRED checkpoints)

# The memory of their weights.
if(NOT APPLE AND NOT WIN32)       # their linkers cannot count allocations
  aki_test(allocator all)
  target_link_options(test_allocator PRIVATE -Wl,--wrap=malloc,--wrap=free)
endif()

# Folders whose network is an .onnx file, against Python's onnxruntime (needs the packages of requirements.txt, scripts/venv).
if(TARGET akiembed_cli AND AKI_REFERENCE_PYTHON)
  add_executable(tool_pairs ${CMAKE_CURRENT_SOURCE_DIR}/tool_pairs.c)
  target_link_libraries(tool_pairs PRIVATE aki_settings akiembed)
  add_test(NAME onnx COMMAND ${AKI_REFERENCE_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_onnx.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints ${PROJECT_SOURCE_DIR}/third_party/models $<TARGET_FILE:tool_pairs>)
  set_tests_properties(onnx PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain TIMEOUT 900)
endif()
