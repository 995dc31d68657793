# Windows 10 on x64, by zig's C compiler (scripts/fetch zig): it has mingw-w64's headers and libraries, and links. Programs of the build run in Wine.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
get_filename_component(_root ${CMAKE_CURRENT_LIST_DIR}/../.. REALPATH)
set(CMAKE_C_COMPILER ${_root}/third_party/zig/zig cc -target x86_64-windows-gnu)
set(CMAKE_C_FLAGS_INIT "-D_FILE_OFFSET_BITS=64 -DPCRE2_STATIC")
set(CMAKE_AR ${CMAKE_CURRENT_LIST_DIR}/zig/ar)
set(CMAKE_RANLIB ${CMAKE_CURRENT_LIST_DIR}/zig/ranlib)
set(CMAKE_RC_COMPILER /bin/true)        # CMake wants one; there are no resources
# Libraries that were built for it lie in one place (scripts/cross), pkg-config looks nowhere else.
set(ENV{PKG_CONFIG_LIBDIR} ${_root}/third_party/windows-x64/lib/pkgconfig)
set(CMAKE_FIND_ROOT_PATH ${_root}/third_party/windows-x64)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(AKI_AVX512 -mevex512)                # zig takes it away
set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_CURRENT_LIST_DIR}/wine)
