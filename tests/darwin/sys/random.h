#include_next <sys/random.h>
#pragma GCC poison getrandom
