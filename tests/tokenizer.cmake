aki_test(tokenizer text base)
aki_test(tokenizer_files text base)
aki_test(chat text base)
if(NOT APPLE AND NOT WIN32)       # their linkers cannot make allocations fail
  target_link_options(test_tokenizer_files PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
  target_compile_definitions(test_tokenizer_files PRIVATE AKI_TEST_WRAP)
endif()

# The driver of differential_tokenizer.py, which also runs here where a Python with the reference is (see requirements.txt).
add_executable(tool_tokenize ${CMAKE_CURRENT_SOURCE_DIR}/tool_tokenize.c)
target_link_libraries(tool_tokenize PRIVATE aki_settings aki_text aki_base)
find_program(AKI_REFERENCE_PYTHON python3 PATHS ${PROJECT_SOURCE_DIR}/.venv-tests/bin NO_DEFAULT_PATH DOC "Python with tokenizers 0.23.3")
if(AKI_REFERENCE_PYTHON)
  add_test(NAME differential_tokenizer COMMAND ${AKI_REFERENCE_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/differential_tokenizer.py
           $<TARGET_FILE:tool_tokenize> --count 11000 --random-pipelines 100 --per-pipeline 50)
  set_tests_properties(differential_tokenizer PROPERTIES TIMEOUT 900)
endif()
