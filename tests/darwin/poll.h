#include_next <poll.h>
#ifndef AKI_TEST_DARWIN_POLL_H
#define AKI_TEST_DARWIN_POLL_H

#undef POLLRDHUP
/* Knows no terminals and no devices: POLLNVAL. */
__typeof__(poll) poll __asm__("darwin_poll");
#pragma GCC poison ppoll

#endif
