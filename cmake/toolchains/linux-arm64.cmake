# Linux on arm64, by Debian's cross compiler, with the libraries of Debian's arm64 packages (scripts/setup arm64). Programs of the build run in qemu.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
# QEMU_CPU=cortex-a53 (no dot products) or neoverse-n1 (no i8mm) picks the processor; without it there is all that qemu knows. qemu shows programs the host's
# /proc/cpuinfo, which ends ONNX Runtime in a crash when it is another kind of processor's: qemu/ has one of two Cortex-A72.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;${CMAKE_CURRENT_LIST_DIR}/qemu)
