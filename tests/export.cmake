# The files that `akiembed export` writes: by their writer, and as other programs read them (needs the packages of requirements.txt, scripts/venv).
aki_test(onnx_write all)
target_link_libraries(test_onnx_write PRIVATE OnnxRuntime::OnnxRuntime)
set_tests_properties(onnx_write PROPERTIES FIXTURES_REQUIRED checkpoints)

find_program(AKI_REFERENCE_PYTHON python3 PATHS ${PROJECT_SOURCE_DIR}/.venv-tests/bin NO_DEFAULT_PATH DOC "Python with the packages of tests/requirements.txt")
if(TARGET akiembed_cli AND AKI_REFERENCE_PYTHON)
  foreach(name export coreml)
    add_test(NAME ${name} COMMAND ${AKI_REFERENCE_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_${name}.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
    set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain TIMEOUT 900)
  endforeach()
endif()
