#include_next <stdio.h>
#pragma GCC poison renameat2 fopencookie
