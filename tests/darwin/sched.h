#include_next <sched.h>
#pragma GCC poison sched_getaffinity sched_setaffinity sched_getcpu unshare
