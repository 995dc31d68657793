/* Unit os, files that several processes share: locks between processes, folders with all in them. os_files_posix.c and os_files_windows.c. */
#ifndef AKI_OS_FILES_H
#define AKI_OS_FILES_H

#include "base/os.h"

/* A lock that processes share through a file, which is made where it is missing, and which ends with the process that holds it, however that ends.
 * Two holders in one process keep each other out as well. Zeroed: not held. */
struct aki__file_lock { void *handle; int file; /* descriptor + 1 */ };
enum aki__lock_kind { AKI_LOCK_SHARED, AKI_LOCK_ALONE, AKI_LOCK_ALONE_NOW /* or not at all: it does not wait */ };

/* false: it cannot be locked, or (AKI_LOCK_ALONE_NOW) somebody else holds it. The file may be taken away by who holds its lock alone. */
bool aki__file_lock_acquire(struct aki__file_lock *l, const char *path, enum aki__lock_kind kind);
/* From alone to shared, or (false: others share it) from shared to alone. Somebody else may have held it in between. */
bool aki__file_lock_change(struct aki__file_lock *l, enum aki__lock_kind kind);
void aki__file_lock_release(struct aki__file_lock *l);

/* Takes away a folder with all in it, or a file; links are taken away, never followed. false: something is left. */
bool     aki__remove_all(const char *path);
/* Bytes of all files in a folder. */
uint64_t aki__folder_size(const char *path);
/* Says that it was changed now. */
void     aki__file_touch(const char *path);

#endif
