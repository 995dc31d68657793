# Our side of the comparison with other engines (make bench): over the public header, against the library that is installed.
add_executable(bench_embed EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/bench/embed.c)
target_compile_definitions(bench_embed PRIVATE _GNU_SOURCE)
target_compile_options(bench_embed PRIVATE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla)
target_link_libraries(bench_embed PRIVATE akiembed m)

# The arithmetic's own limit, beside which products are judged.
add_executable(bench_peak EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/bench/peak.c)
target_compile_definitions(bench_peak PRIVATE _GNU_SOURCE)
target_compile_options(bench_peak PRIVATE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla)

find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME floors COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_floors.py)
set_tests_properties(floors PROPERTIES LABELS plain)
