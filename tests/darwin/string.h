#include_next <string.h>
#ifndef AKI_TEST_DARWIN_STRING_H
#define AKI_TEST_DARWIN_STRING_H

/* One text for all threads. */
__typeof__(strerror) strerror __asm__("darwin_strerror");
#pragma GCC poison mempcpy memrchr rawmemchr strchrnul strerrorname_np strerrordesc_np strverscmp

#endif
