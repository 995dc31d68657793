# The files that `akiembed export` writes, as other programs read them (needs the packages of requirements.txt, scripts/venv).
find_program(AKI_REFERENCE_PYTHON python3 PATHS ${PROJECT_SOURCE_DIR}/.venv-tests/bin NO_DEFAULT_PATH DOC "Python with the packages of tests/requirements.txt")
if(TARGET akiembed_cli AND AKI_REFERENCE_PYTHON)
  add_test(NAME export COMMAND ${AKI_REFERENCE_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_export.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  set_tests_properties(export PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain TIMEOUT 900)
endif()
