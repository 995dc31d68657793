# The graph's blocks in any order, in every dialect and instruction set.
aki_test(graph all)
target_link_libraries(test_graph PRIVATE OnnxRuntime::OnnxRuntime)
if(NOT APPLE)       # its linker cannot put another architecture into aki_quantize
  target_link_options(test_graph PRIVATE -Wl,--wrap=aki__arch_build)
  target_compile_definitions(test_graph PRIVATE AKI_WRAPS)
endif()
# They write the same folder, so that no two run at a time.
set_tests_properties(graph PROPERTIES FIXTURES_REQUIRED checkpoints RESOURCE_LOCK graph-tensors)
foreach(isa baseline dotprod avx2 avxvnni avx512)
  if(TARGET aki_kernel_${isa})
    add_test(NAME graph_${isa} COMMAND test_graph)
    set_tests_properties(graph_${isa} PROPERTIES FIXTURES_REQUIRED checkpoints RESOURCE_LOCK graph-tensors LABELS plain SKIP_RETURN_CODE 77 ENVIRONMENT "AKIEMBED_ISA=${isa}")
  endif()
endforeach()
