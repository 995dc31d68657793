/* Unit clock for Windows. See clock.h. */
#include "util/clock.h"

#include <windows.h>

double aki__seconds(void)
{
    LARGE_INTEGER now, rate;

    QueryPerformanceFrequency(&rate);
    QueryPerformanceCounter(&now);
    return (double)now.QuadPart / (double)rate.QuadPart;
}
