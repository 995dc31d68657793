/* newlocale and its kin are declared here on macOS, by <locale.h> on Linux. The locales of macOS have other names: no C.UTF-8. */
#ifndef AKI_TEST_DARWIN_XLOCALE_H
#define AKI_TEST_DARWIN_XLOCALE_H

#include <locale.h>

__typeof__(newlocale) newlocale __asm__("darwin_newlocale");

#endif
