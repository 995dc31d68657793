aki_test(embed all)
set_tests_properties(embed PROPERTIES FIXTURES_REQUIRED checkpoints)

aki_test(row all)

aki_test(search all)

aki_test(host_environment all)
target_link_libraries(test_host_environment PRIVATE OnnxRuntime::OnnxRuntime)
set_tests_properties(host_environment PROPERTIES FIXTURES_REQUIRED checkpoints)

aki_test(encode all)
set_tests_properties(encode PROPERTIES FIXTURES_REQUIRED checkpoints)

aki_test(score all)
set_tests_properties(score PROPERTIES FIXTURES_REQUIRED checkpoints)
