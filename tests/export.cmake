# The files that `akiembed export` writes: by their writer, and as other programs read them (needs the packages of requirements.txt, scripts/venv).
aki_test(onnx_write all)
target_link_libraries(test_onnx_write PRIVATE OnnxRuntime::OnnxRuntime)
set_tests_properties(onnx_write PROPERTIES FIXTURES_REQUIRED checkpoints)

find_program(AKI_REFERENCE_PYTHON python3 PATHS ${PROJECT_SOURCE_DIR}/.venv-tests/bin NO_DEFAULT_PATH DOC "Python with the packages of tests/requirements.txt")
if(TARGET akiembed_cli AND AKI_REFERENCE_PYTHON)
  add_executable(tool_offer ${CMAKE_CURRENT_SOURCE_DIR}/tool_offer.c)
  target_link_libraries(tool_offer PRIVATE aki_settings akiembed_static OnnxRuntime::OnnxRuntime)
  add_test(NAME export COMMAND ${AKI_REFERENCE_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_export.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  add_test(NAME coreml COMMAND ${AKI_REFERENCE_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_coreml.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints
           $<TARGET_FILE:tool_offer> $<TARGET_FILE:fake_provider>)
  set_tests_properties(export coreml PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain TIMEOUT 900)
endif()
