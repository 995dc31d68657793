#include_next <time.h>
#ifndef AKI_TEST_DARWIN_TIME_H
#define AKI_TEST_DARWIN_TIME_H

#undef CLOCK_BOOTTIME
#undef CLOCK_MONOTONIC_COARSE
#undef CLOCK_REALTIME_COARSE
#undef CLOCK_TAI
#pragma GCC poison CLOCK_BOOTTIME CLOCK_MONOTONIC_COARSE CLOCK_REALTIME_COARSE CLOCK_TAI clock_nanosleep clock_getcpuclockid timer_create timer_settime

#endif
