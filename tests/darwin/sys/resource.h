#include_next <sys/resource.h>
#ifndef AKI_TEST_DARWIN_RESOURCE_H
#define AKI_TEST_DARWIN_RESOURCE_H

/* ru_maxrss counts bytes. A limit of files has to be one: RLIM_INFINITY is EINVAL, and too many become what a process may have. */
__typeof__(getrusage) getrusage __asm__("darwin_getrusage");
__typeof__(setrlimit) setrlimit __asm__("darwin_setrlimit");
__typeof__(getrlimit) getrlimit __asm__("darwin_getrlimit");
#pragma GCC poison prlimit

#endif
