# Folders that aki_quantize writes: as the library reads them, and as a reader written from docs/quantised-folder.md does.
aki_test(quantize all)
set_tests_properties(quantize PROPERTIES FIXTURES_REQUIRED checkpoints)
