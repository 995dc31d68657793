/* Unit os, shared files for Windows. See os_files.h. Nothing there keeps files in such folders (CoreML does): what is here says that it cannot be had. */
#include "base/os_files.h"

bool aki__file_lock_acquire(struct aki__file_lock *l, const char *path, enum aki__lock_kind kind)
{
    (void)path, (void)kind;
    *l = (struct aki__file_lock){ 0 };
    return false;
}

bool aki__file_lock_change(struct aki__file_lock *l, enum aki__lock_kind kind)
{
    (void)l, (void)kind;
    return false;
}

void aki__file_lock_release(struct aki__file_lock *l) { (void)l; }

bool aki__remove_all(const char *path)
{
    (void)path;
    return false;
}

uint64_t aki__folder_size(const char *path)
{
    (void)path;
    return 0;
}

void aki__file_touch(const char *path) { (void)path; }
