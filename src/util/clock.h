/* Unit clock: clock_posix.c, clock_windows.c. */
#ifndef AKI_UTIL_CLOCK_H
#define AKI_UTIL_CLOCK_H

/* Seconds on a clock that only goes forward; where it began is not said. */
double aki__seconds(void);

#endif
