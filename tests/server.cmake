# The HTTP service: its reader of JSON, its batcher's runs by the program, and the program as its clients meet it.
if(TARGET akiembed_cli AND TARGET aki_server)
  foreach(part server server_scores server_bounds server_faults server_front)
    add_test(NAME ${part} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_${part}.py $<TARGET_FILE:akiembed_cli>
      ${PROJECT_BINARY_DIR}/checkpoints)
    set_tests_properties(${part} PROPERTIES FIXTURES_REQUIRED checkpoints LABELS unit TIMEOUT 900)
  endforeach()

  # Nothing is skipped where chromium and nginx are installed (scripts/setup front).
  set_tests_properties(server_front PROPERTIES SKIP_REGULAR_EXPRESSION "skipped=")

  # 64 clients with texts of 1 to 2,000 tokens, 1,000 idle connections beside them: every answer as `embed` gives it, none missing.
  # Under ThreadSanitizer the server is so slow that it would rightly refuse most of it.
  if(NOT AKI_SANITIZE STREQUAL "thread")
    add_test(NAME server_load COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/bench/serve.py $<TARGET_FILE:akiembed_cli> mix --seconds 10 --texts 1)
    set_tests_properties(server_load PROPERTIES LABELS unit TIMEOUT 900)
  endif()

  # With other people's clients, in the virtual environment of scripts/venv (make test has made it).
  set(venv_python ${PROJECT_SOURCE_DIR}/.venv-tests/bin/python)
  if(EXISTS ${venv_python})
    add_test(NAME server_clients COMMAND ${venv_python} ${CMAKE_CURRENT_SOURCE_DIR}/test_server_clients.py $<TARGET_FILE:akiembed_cli>
      ${PROJECT_BINARY_DIR}/checkpoints)
    set_tests_properties(server_clients PROPERTIES FIXTURES_REQUIRED checkpoints LABELS unit TIMEOUT 900)
  endif()

  aki_test(server_end base)
  target_link_libraries(test_server_end PRIVATE aki_server)

  aki_test(server_json base)
  target_link_libraries(test_server_json PRIVATE aki_server)
  target_include_directories(test_server_json PRIVATE ${PROJECT_SOURCE_DIR}/server)
endif()
