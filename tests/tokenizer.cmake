aki_test(tokenizer text base)
set_tests_properties(tokenizer PROPERTIES SKIP_RETURN_CODE 77)

# The driver of differential_tokenizer.py.
add_executable(tool_tokenize EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/tool_tokenize.c)
target_link_libraries(tool_tokenize PRIVATE aki_settings aki_text aki_base)
