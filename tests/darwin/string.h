#include_next <string.h>
#pragma GCC poison mempcpy memrchr rawmemchr strchrnul strerrorname_np strerrordesc_np strverscmp
