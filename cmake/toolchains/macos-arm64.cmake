# macOS 14 on arm64, by zig's C compiler (scripts/fetch zig): it has the system's headers and stubs of its libraries, and links.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
get_filename_component(_root ${CMAKE_CURRENT_LIST_DIR}/../.. REALPATH)
set(CMAKE_C_COMPILER ${_root}/third_party/zig/zig cc -target aarch64-macos.14.0)
set(CMAKE_AR ${CMAKE_CURRENT_LIST_DIR}/zig/ar)
set(CMAKE_RANLIB ${CMAKE_CURRENT_LIST_DIR}/zig/ranlib)
set(CMAKE_INSTALL_NAME_TOOL /bin/true)     # run paths are linked in, never changed
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
# Libraries that were built for it lie in one place (scripts/cross), pkg-config looks nowhere else.
set(ENV{PKG_CONFIG_LIBDIR} ${_root}/third_party/macos-arm64/lib/pkgconfig)
set(CMAKE_FIND_ROOT_PATH ${_root}/third_party/macos-arm64)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(AKI_DOTPROD -mcpu=apple_m1)         # zig knows no -march
set(CMAKE_SIZEOF_VOID_P 8)              # CMake's own look fails: zig's linker knows no -v
set(CMAKE_USER_MAKE_RULES_OVERRIDE_C ${CMAKE_CURRENT_LIST_DIR}/zig/rules.cmake)
