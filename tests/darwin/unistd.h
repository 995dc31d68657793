#include_next <unistd.h>
#ifndef AKI_TEST_DARWIN_UNISTD_H
#define AKI_TEST_DARWIN_UNISTD_H

/* Pages have 16 KiB. */
__typeof__(sysconf) sysconf __asm__("darwin_sysconf");
#ifdef __USE_MISC
__typeof__(getpagesize) getpagesize __asm__("darwin_getpagesize");
#endif
/* More than INT_MAX bytes at once are EINVAL. */
__typeof__(read) read __asm__("darwin_read");
__typeof__(write) write __asm__("darwin_write");
__typeof__(pread) pread __asm__("darwin_pread");
__typeof__(pwrite) pwrite __asm__("darwin_pwrite");
#pragma GCC poison pipe2 dup3 gettid fdatasync syncfs copy_file_range get_current_dir_name execvpe euidaccess eaccess environ

#endif
