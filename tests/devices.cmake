# Devices: padded runs of the portable dialect, self-tests and refusals; and the program on them.
add_library(fake_provider MODULE ${CMAKE_CURRENT_SOURCE_DIR}/fake_provider.c ${CMAKE_CURRENT_SOURCE_DIR}/fake_graph.c)
target_include_directories(fake_provider PRIVATE ${OnnxRuntime_INCLUDE_DIR})
target_compile_options(fake_provider PRIVATE -Wall -Wextra)
target_compile_definitions(fake_provider PRIVATE _POSIX_C_SOURCE=200809L)
target_link_libraries(fake_provider PRIVATE m)

aki_test(devices all)
target_compile_definitions(test_devices PRIVATE AKI_FAKE_PROVIDER="$<TARGET_FILE:fake_provider>")
if(NOT APPLE)       # its linker cannot count the sessions that are opened
  target_link_options(test_devices PRIVATE -Wl,--wrap=aki__session_open)
  target_compile_definitions(test_devices PRIVATE AKI_COUNTS)
endif()
aki_test(coreml_device all)
target_link_libraries(test_coreml_device PRIVATE OnnxRuntime::OnnxRuntime)
target_compile_definitions(test_coreml_device PRIVATE AKI_FAKE_PROVIDER="$<TARGET_FILE:fake_provider>")
foreach(name devices coreml_device)
  add_dependencies(test_${name} fake_provider)
  set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED checkpoints TIMEOUT 900)
endforeach()

aki_test(device_plugins all)
target_compile_definitions(test_device_plugins PRIVATE AKI_FAKE_PROVIDER="$<TARGET_FILE:fake_provider>")
add_dependencies(test_device_plugins fake_provider)

if(TARGET akiembed_cli)
  add_test(NAME mac_acceptance COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/mac_acceptance.sh ${PROJECT_SOURCE_DIR} $<TARGET_FILE:akiembed_cli>
           ${PROJECT_BINARY_DIR}/checkpoints/bert ${CMAKE_CURRENT_BINARY_DIR}/mac)
  set_tests_properties(mac_acceptance PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain TIMEOUT 900)
  add_test(NAME cli_devices COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_devices.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints $<TARGET_FILE:fake_provider>)
  add_test(NAME cli_compiled COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_compiled.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints $<TARGET_FILE:fake_provider>)
  set_tests_properties(cli_devices cli_compiled PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain TIMEOUT 900)
endif()
