#include_next <fcntl.h>
#ifndef AKI_TEST_DARWIN_FCNTL_H
#define AKI_TEST_DARWIN_FCNTL_H

#define F_FULLFSYNC 51
__typeof__(fcntl) fcntl __asm__("darwin_fcntl");
#undef O_DIRECT
#undef O_TMPFILE
#undef O_PATH
#undef O_NOATIME
#undef F_OFD_SETLK
#undef F_SETPIPE_SZ
#undef F_ADD_SEALS
#pragma GCC poison O_DIRECT O_TMPFILE O_PATH O_NOATIME F_OFD_SETLK F_SETPIPE_SZ F_ADD_SEALS
#pragma GCC poison posix_fallocate fallocate posix_fadvise readahead splice sync_file_range

#endif
