# Behind CMake's own settings: it asks sw_vers whether run paths are known, and sets none without it.
set(CMAKE_SHARED_LIBRARY_RUNTIME_C_FLAG "-Wl,-rpath,")
