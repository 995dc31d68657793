#include_next <stdlib.h>
#pragma GCC poison secure_getenv canonicalize_file_name qsort_r random_r ptsname_r
