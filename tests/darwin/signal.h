#include_next <signal.h>
#ifndef AKI_TEST_DARWIN_SIGNAL_H
#define AKI_TEST_DARWIN_SIGNAL_H

#undef SIGRTMIN
#undef SIGRTMAX
#undef SIGPWR
#undef SIGSTKFLT
#undef SIGPOLL
#pragma GCC poison sigtimedwait sigwaitinfo sigqueue SIGRTMIN SIGRTMAX SIGPWR SIGSTKFLT SIGPOLL

#endif
