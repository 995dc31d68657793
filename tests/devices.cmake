# Devices: padded runs of the portable dialect, self-tests and refusals; and the program on them.
add_library(fake_provider MODULE ${CMAKE_CURRENT_SOURCE_DIR}/fake_provider.c)
target_include_directories(fake_provider PRIVATE ${OnnxRuntime_INCLUDE_DIR})
target_compile_options(fake_provider PRIVATE -Wall -Wextra)
target_link_libraries(fake_provider PRIVATE m)

aki_test(devices all)
target_compile_definitions(test_devices PRIVATE AKI_FAKE_PROVIDER="$<TARGET_FILE:fake_provider>")
add_dependencies(test_devices fake_provider)
set_tests_properties(devices PROPERTIES FIXTURES_REQUIRED checkpoints TIMEOUT 900)
