# Tests of src/model, and the small checkpoints that they and others read (build/checkpoints/NAME, see make_checkpoints.py).
# A test that reads them: set_tests_properties(NAME PROPERTIES FIXTURES_REQUIRED checkpoints).
add_test(NAME checkpoints
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/make_checkpoints.py ${PROJECT_BINARY_DIR}/checkpoints)
set_tests_properties(checkpoints PROPERTIES FIXTURES_SETUP checkpoints LABELS unit)

aki_test(safetensors base model)
aki_test(model all)
set_tests_properties(model PROPERTIES FIXTURES_REQUIRED checkpoints)
