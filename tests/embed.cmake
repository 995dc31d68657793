aki_test(embed all)
set_tests_properties(embed PROPERTIES FIXTURES_REQUIRED checkpoints)
