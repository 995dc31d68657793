#include_next <sys/mman.h>
#ifndef AKI_TEST_DARWIN_MMAN_H
#define AKI_TEST_DARWIN_MMAN_H

/* Places that are not of whole pages of 16 KiB are EINVAL. (macOS itself makes some of them whole, which is more than was asked for.) */
__typeof__(mmap) mmap __asm__("darwin_mmap");
__typeof__(munmap) munmap __asm__("darwin_munmap");
__typeof__(mprotect) mprotect __asm__("darwin_mprotect");
__typeof__(madvise) madvise __asm__("darwin_madvise");
#undef MADV_HUGEPAGE
#undef MADV_NOHUGEPAGE
#undef MADV_REMOVE
#undef MADV_DONTFORK
#undef MADV_COLLAPSE
#undef MADV_COLD
#undef MADV_PAGEOUT
#undef MADV_POPULATE_READ
#undef MADV_POPULATE_WRITE
#undef MAP_POPULATE
#undef MAP_HUGETLB
#undef MAP_LOCKED
#undef MAP_STACK
#undef MAP_GROWSDOWN
#pragma GCC poison mremap memfd_create mlock2 MAP_POPULATE MAP_HUGETLB MAP_LOCKED MAP_STACK MAP_GROWSDOWN

#endif
