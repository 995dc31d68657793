# Finds ONNX Runtime's C API: ONNXRUNTIME_ROOT (include/ and lib/), then pkg-config, then third_party/onnxruntime (scripts/fetch).
set(_roots ${ONNXRUNTIME_ROOT} $ENV{ONNXRUNTIME_ROOT})
if(NOT _roots)
  find_package(PkgConfig QUIET)
  pkg_check_modules(PC_ONNXRUNTIME QUIET libonnxruntime)
endif()
find_path(OnnxRuntime_INCLUDE_DIR onnxruntime_c_api.h
  HINTS ${_roots} ${PC_ONNXRUNTIME_INCLUDE_DIRS} ${PROJECT_SOURCE_DIR}/third_party/onnxruntime
  PATH_SUFFIXES include include/onnxruntime NO_CMAKE_FIND_ROOT_PATH)
set(_suffixes ${CMAKE_FIND_LIBRARY_SUFFIXES})
if(WIN32)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .dll)                 # zig links with the file that is loaded
endif()
find_library(OnnxRuntime_LIBRARY onnxruntime
  HINTS ${_roots} ${PC_ONNXRUNTIME_LIBRARY_DIRS} ${PROJECT_SOURCE_DIR}/third_party/onnxruntime
  PATH_SUFFIXES lib NO_CMAKE_FIND_ROOT_PATH)
set(CMAKE_FIND_LIBRARY_SUFFIXES ${_suffixes})
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OnnxRuntime REQUIRED_VARS OnnxRuntime_LIBRARY OnnxRuntime_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run scripts/fetch, or set ONNXRUNTIME_ROOT to a folder with include/ and lib/")
if(OnnxRuntime_FOUND AND NOT TARGET OnnxRuntime::OnnxRuntime)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    # ONNX Runtime's symbols carry its exact version (VERS_1.32.0): linked plainly, our library would load with that one alone.
    # So the link is made against a stand-in with the same soname and no versions; what is loaded is the real one.
    set(_link ${PROJECT_BINARY_DIR}/onnxruntime_link)
    if(NOT EXISTS ${_link}/libonnxruntime.so)
      file(WRITE ${_link}/stand_in.c "const void *OrtGetApiBase(void);\nconst void *OrtGetApiBase(void) { return 0; }\n")
      separate_arguments(_flags NATIVE_COMMAND "${CMAKE_C_FLAGS}")
      execute_process(COMMAND ${CMAKE_C_COMPILER} ${_flags} -fno-sanitize=all -shared -fPIC -nostdlib -Wl,-soname,libonnxruntime.so.1
        -o ${_link}/libonnxruntime.so ${_link}/stand_in.c COMMAND_ERROR_IS_FATAL ANY)
    endif()
    add_library(OnnxRuntime::OnnxRuntime INTERFACE IMPORTED)
    set_target_properties(OnnxRuntime::OnnxRuntime PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES ${OnnxRuntime_INCLUDE_DIR}
      INTERFACE_LINK_OPTIONS "-L${_link}" INTERFACE_LINK_LIBRARIES "-lonnxruntime")
    get_filename_component(_folder ${OnnxRuntime_LIBRARY} DIRECTORY)
    list(APPEND CMAKE_BUILD_RPATH ${_folder})
  else()
    add_library(OnnxRuntime::OnnxRuntime UNKNOWN IMPORTED)
    set_target_properties(OnnxRuntime::OnnxRuntime PROPERTIES
      IMPORTED_LOCATION ${OnnxRuntime_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${OnnxRuntime_INCLUDE_DIR})
    if(WIN32)
      # Beside the program, where Windows looks first: its own folder has an ONNX Runtime too, an old one.
      configure_file(${OnnxRuntime_LIBRARY} ${PROJECT_BINARY_DIR}/onnxruntime.dll COPYONLY)
    endif()
  endif()
endif()
mark_as_advanced(OnnxRuntime_INCLUDE_DIR OnnxRuntime_LIBRARY)
