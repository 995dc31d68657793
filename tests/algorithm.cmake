# The driver of differential_algorithm.py, which is run by hand.
add_executable(tool_algorithm EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/tool_algorithm.c)
target_link_libraries(tool_algorithm PRIVATE aki_settings aki_base aki_text $<TARGET_OBJECTS:aki_base> $<TARGET_OBJECTS:aki_text>)
