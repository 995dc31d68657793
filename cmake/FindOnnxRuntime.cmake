# Finds ONNX Runtime's C API: ONNXRUNTIME_ROOT (include/ and lib/), then pkg-config, then third_party/onnxruntime (scripts/fetch).
set(_roots ${ONNXRUNTIME_ROOT} $ENV{ONNXRUNTIME_ROOT})
if(NOT _roots)
  find_package(PkgConfig QUIET)
  pkg_check_modules(PC_ONNXRUNTIME QUIET libonnxruntime)
endif()
find_path(OnnxRuntime_INCLUDE_DIR onnxruntime_c_api.h
  HINTS ${_roots} ${PC_ONNXRUNTIME_INCLUDE_DIRS} ${PROJECT_SOURCE_DIR}/third_party/onnxruntime
  PATH_SUFFIXES include include/onnxruntime NO_CMAKE_FIND_ROOT_PATH)
find_library(OnnxRuntime_LIBRARY onnxruntime
  HINTS ${_roots} ${PC_ONNXRUNTIME_LIBRARY_DIRS} ${PROJECT_SOURCE_DIR}/third_party/onnxruntime
  PATH_SUFFIXES lib NO_CMAKE_FIND_ROOT_PATH)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OnnxRuntime REQUIRED_VARS OnnxRuntime_LIBRARY OnnxRuntime_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run scripts/fetch, or set ONNXRUNTIME_ROOT to a folder with include/ and lib/")
if(OnnxRuntime_FOUND AND NOT TARGET OnnxRuntime::OnnxRuntime)
  add_library(OnnxRuntime::OnnxRuntime UNKNOWN IMPORTED)
  set_target_properties(OnnxRuntime::OnnxRuntime PROPERTIES
    IMPORTED_LOCATION ${OnnxRuntime_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${OnnxRuntime_INCLUDE_DIR})
endif()
mark_as_advanced(OnnxRuntime_INCLUDE_DIR OnnxRuntime_LIBRARY)
