/* Unit os for Windows. See os.h. */
#include "base/os.h"

#include <errno.h>
#include <stdatomic.h>
#include <windows.h>

/* ---------------------------------------------------------------- text ------------------------------------------ */

wchar_t *aki__native_path(const char *path) { return aki__wide(path); }

/* What the system says of an error of its own. */
static aki_status fail(aki_error *err, const char *path, const char *what, DWORD why)
{
    wchar_t text[256];
    DWORD size = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, why, 0, text, 256, NULL);
    const bool absent = why == ERROR_FILE_NOT_FOUND || why == ERROR_PATH_NOT_FOUND || why == ERROR_INVALID_NAME;

    while (size && (text[size - 1] == '\n' || text[size - 1] == '\r' || text[size - 1] == '.'))
        size--;
    text[size < 256 ? size : 255] = 0;
    char *said = size ? aki__narrow(text) : NULL;
    aki_status rc = aki__fail(err, absent ? AKI_E_NOT_FOUND : AKI_E_IO, "%s: %s%s (%lu)", path, what, said ? said : "error of Windows", (unsigned long)why);
    aki__free(said);
    return rc;
}

/* ---------------------------------------------------------------- files ----------------------------------------- */

/* What is at a path, links followed; INVALID_HANDLE_VALUE: GetLastError says why. */
static HANDLE open_path(const char *path, DWORD access)
{
    wchar_t *name = aki__wide(path);
    HANDLE file = INVALID_HANDLE_VALUE;

    if (name)
        file = CreateFileW(name, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    DWORD why = name ? GetLastError() : ERROR_NOT_ENOUGH_MEMORY;
    aki__free(name);
    SetLastError(why);
    return file;
}

/* Attributes of what is at a path, links followed; INVALID_FILE_ATTRIBUTES: nothing, or no file or folder. */
static DWORD attributes_of(const char *path)
{
    HANDLE file = open_path(path, FILE_READ_ATTRIBUTES);
    BY_HANDLE_FILE_INFORMATION about;

    if (file == INVALID_HANDLE_VALUE)
        return INVALID_FILE_ATTRIBUTES;
    bool known = GetFileType(file) == FILE_TYPE_DISK && GetFileInformationByHandle(file, &about);
    CloseHandle(file);
    return known ? about.dwFileAttributes : INVALID_FILE_ATTRIBUTES;
}

/* Something of that name is there, be it a link to nothing. */
static bool is_name(const char *path)
{
    wchar_t *name = aki__wide(path);
    bool there = name && GetFileAttributesW(name) != INVALID_FILE_ATTRIBUTES;

    aki__free(name);
    return there;
}

aki_status aki__map_open(struct aki__map *out, const char *path, aki_error *err)
{
    aki_status rc = AKI_OK;
    LARGE_INTEGER size = { 0 };
    HANDLE map = NULL;

    *out = (struct aki__map){ 0 };
    if (attributes_of(path) != INVALID_FILE_ATTRIBUTES && !aki__is_file(path))
        return aki__fail(err, AKI_E_IO, "%s: not a regular file", path);
    HANDLE file = open_path(path, GENERIC_READ);
    if (file == INVALID_HANDLE_VALUE) {
        DWORD why = GetLastError();
        /* A link whose target is missing is a broken download, not an absent file: callers may go on without the latter. */
        if (why == ERROR_FILE_NOT_FOUND && is_name(path))
            return aki__fail(err, AKI_E_IO, "%s: a link to a file that is missing", path);
        return why == ERROR_NOT_ENOUGH_MEMORY ? aki__fail(err, AKI_E_NOMEM, "%s", path) : fail(err, path, "", why);
    }
    if (GetFileType(file) != FILE_TYPE_DISK) {
        rc = aki__fail(err, AKI_E_IO, "%s: not a regular file", path);
    } else if (!GetFileSizeEx(file, &size)) {
        rc = fail(err, path, "", GetLastError());
    } else if (size.QuadPart == 0) {
        out->data = "";
    } else if (!(map = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL)) || !(out->handle = MapViewOfFile(map, FILE_MAP_READ, 0, 0, 0))) {
        DWORD why = GetLastError();
        rc = why == ERROR_NOT_ENOUGH_MEMORY ? aki__fail(err, AKI_E_NOMEM, "%s: cannot map", path) : fail(err, path, "cannot map: ", why);
    } else {
        out->data = out->handle;
        out->size = (size_t)size.QuadPart;
    }
    /* The view keeps what it needs. */
    if (map)
        CloseHandle(map);
    CloseHandle(file);
    return rc;
}

aki_status aki__map_watch(struct aki__map *out, const char *path, aki_error *err) { return aki__map_open(out, path, err); }

void aki__map_close(struct aki__map *m)
{
    if (m->handle)
        UnmapViewOfFile(m->handle);
    *m = (struct aki__map){ 0 };
}

/* Nobody can make a file shorter here while it is mapped. */
bool aki__map_is_whole(const struct aki__map *m, uint64_t *size)
{
    (void)m;
    (void)size;
    return true;
}

void aki__map_release(const struct aki__map *m, const void *begin, size_t size)
{
    SYSTEM_INFO system;

    if (!m->handle || !size)
        return;
    GetSystemInfo(&system);
    uintptr_t page = system.dwPageSize;
    uintptr_t from = ((uintptr_t)begin + page - 1) & ~(page - 1), to = ((uintptr_t)begin + size) & ~(page - 1);
    /* Pages that were never locked leave the working set. */
    if (from < to)
        VirtualUnlock((void *)from, to - from);
}

void aki__prefer_huge_pages(void *block, size_t size)
{
    (void)block;
    (void)size;
}

bool aki__is_folder(const char *path)
{
    DWORD attributes = attributes_of(path);

    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY);
}

bool aki__is_file(const char *path)
{
    DWORD attributes = attributes_of(path);

    return attributes != INVALID_FILE_ATTRIBUTES && !(attributes & FILE_ATTRIBUTE_DIRECTORY);
}

char *aki__real_path(const char *path)
{
    HANDLE file = open_path(path, FILE_READ_ATTRIBUTES);
    DWORD size = file == INVALID_HANDLE_VALUE ? 0 : GetFinalPathNameByHandleW(file, NULL, 0, FILE_NAME_NORMALIZED | VOLUME_NAME_DOS);
    wchar_t *name = size ? aki__zalloc((size_t)size + 1, sizeof *name) : NULL;
    char *out = NULL;

    if (name && GetFinalPathNameByHandleW(file, name, size + 1, FILE_NAME_NORMALIZED | VOLUME_NAME_DOS)) {
        /* \\?\C:\… and \\?\UNC\server\… */
        if (wcsncmp(name, L"\\\\?\\UNC\\", 8) == 0) {
            name[6] = '\\';
            out = aki__narrow(name + 6);
        } else {
            out = aki__narrow(wcsncmp(name, L"\\\\?\\", 4) == 0 ? name + 4 : name);
        }
    }
    for (char *s = out; s && *s; s++)
        if (*s == '\\')
            *s = '/';
    aki__free(name);
    if (file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    return out;
}

const char *aki__error_text(int error) { return strerror(error); }         /* a thread's own here */

FILE *aki__file_create(const char *path)
{
    wchar_t *name = aki__wide(path);
    FILE *f = name ? _wfopen(name, L"wbN") : NULL;
    int why = name ? errno : ENOMEM;

    aki__free(name);
    errno = why;
    return f;
}

void aki__file_remove(const char *path)
{
    wchar_t *name = aki__wide(path);

    if (name && !DeleteFileW(name))
        RemoveDirectoryW(name);
    aki__free(name);
}

aki_status aki__make_folder(const char *path, aki_error *err)
{
    wchar_t *name = aki__wide(path);

    if (!name)
        return aki__fail(err, AKI_E_NOMEM, "%s", path);
    DWORD why = CreateDirectoryW(name, NULL) ? 0 : GetLastError();
    aki__free(name);
    if (why && !aki__is_folder(path)) {
        fail(err, path, "cannot make the folder: ", why);
        if (err)
            err->status = AKI_E_IO;
        return AKI_E_IO;
    }
    return AKI_OK;
}

void aki__folder_each(const char *path, void (*tell)(void *user, const char *name), void *user)
{
    WIN32_FIND_DATAW entry;
    char *all = aki__join(path, "*");
    wchar_t *pattern = all ? aki__wide(all) : NULL;
    HANDLE search = pattern ? FindFirstFileW(pattern, &entry) : INVALID_HANDLE_VALUE;

    if (search != INVALID_HANDLE_VALUE) {
        do {
            char *name = aki__narrow(entry.cFileName);
            if (name)
                tell(user, name);
            aki__free(name);
        } while (FindNextFileW(search, &entry));
        FindClose(search);
    }
    aki__free(pattern);
    aki__free(all);
}

static void count_name(void *user, const char *name)
{
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        ++*(size_t *)user;
}

bool aki__folder_is_empty(const char *path)
{
    size_t count = 0;

    aki__folder_each(path, count_name, &count);
    return count == 0 && aki__is_folder(path);
}

char *aki__cache_folder(const char *rest, bool make)
{
    const wchar_t *local = _wgetenv(L"LOCALAPPDATA");
    char *root = local && *local ? aki__narrow(local) : NULL, *own = root ? aki__join(root, "akiembed") : NULL, *out = own ? aki__join(own, rest) : NULL;
    bool made = out != NULL && aki__is_folder(root);

    for (char *s = out && make ? out + strlen(root) + 1 : NULL; s && made; s++)
        if (*s == '/' || !*s) {
            const char was = *s;
            *s = '\0';
            made = aki__make_folder(out, NULL) == AKI_OK;
            *s = was;
            if (!was)
                break;
        }
    aki__free(root);
    aki__free(own);
    if (made)
        return out;
    aki__free(out);
    return NULL;
}

bool aki__file_replace(const char *path, const void *bytes, size_t size)
{
    static atomic_uint count;
    char beside[48];
    wchar_t *name = aki__wide(path);

    snprintf(beside, sizeof beside, ".%lx-%x.tmp", (unsigned long)GetCurrentProcessId(), atomic_fetch_add(&count, 1));
    char *with = aki__alloc(strlen(path) + sizeof beside, 1);
    if (with)
        snprintf(with, strlen(path) + sizeof beside, "%s%s", path, beside);
    wchar_t *temporary = with ? aki__wide(with) : NULL;
    FILE *f = name && temporary ? _wfopen(temporary, L"wbxN") : NULL;
    bool ok = f && fwrite(bytes, 1, size, f) == size;
    ok = (!f || fclose(f) == 0) && ok && MoveFileExW(temporary, name, MOVEFILE_REPLACE_EXISTING);
    if (f && !ok)
        DeleteFileW(temporary);
    aki__free(temporary);
    aki__free(with);
    aki__free(name);
    return ok;
}

bool aki__file_stamp(const char *path, uint64_t *size, int64_t *seconds)
{
    HANDLE file = open_path(path, FILE_READ_ATTRIBUTES);
    BY_HANDLE_FILE_INFORMATION about;

    if (file == INVALID_HANDLE_VALUE)
        return false;
    bool known = GetFileInformationByHandle(file, &about);
    CloseHandle(file);
    if (known) {
        *size = (uint64_t)about.nFileSizeHigh << 32 | about.nFileSizeLow;
        /* Steps of 100 ns since 1601. */
        *seconds = (int64_t)(((uint64_t)about.ftLastWriteTime.dwHighDateTime << 32 | about.ftLastWriteTime.dwLowDateTime) / 10000000) - INT64_C(11644473600);
    }
    return known;
}

void aki__system_name(char *out, size_t size)
{
    typedef LONG (WINAPI *get_version)(OSVERSIONINFOW *);
    /* GetVersionEx answers what the program was made for. */
    get_version get = (get_version)(void *)GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "RtlGetVersion");
    OSVERSIONINFOW about = { .dwOSVersionInfoSize = sizeof about };

    out[0] = '\0';
    if (get && get(&about) == 0)
        snprintf(out, size, "Windows %lu.%lu.%lu x86_64", (unsigned long)about.dwMajorVersion, (unsigned long)about.dwMinorVersion, (unsigned long)about.dwBuildNumber);
}

/* ---------------------------------------------------------------- processors ------------------------------------ */

long aki__process(void) { return (long)GetCurrentProcessId(); }

int aki__cores(void)
{
    SYSTEM_LOGICAL_PROCESSOR_INFORMATION *list = NULL;
    DWORD_PTR ours = 0, all = 0;
    DWORD size = 0;
    int cores = 0;

    /* Cores of the affinity mask, hardware threads of one core counted once. */
    if (GetProcessAffinityMask(GetCurrentProcess(), &ours, &all) && !GetLogicalProcessorInformation(NULL, &size) && size)
        list = aki__alloc(size, 1);
    if (list && GetLogicalProcessorInformation(list, &size))
        for (DWORD i = 0; i < size / sizeof *list; i++)
            cores += list[i].Relationship == RelationProcessorCore && (list[i].ProcessorMask & ours);
    aki__free(list);
    return cores > 0 ? cores : 1;
}

/* ---------------------------------------------------------------- threads --------------------------------------- */

struct start { void (*body)(void *user); void *user; HANDLE id; };
_Static_assert(sizeof(struct start) <= sizeof(struct aki__thread), "aki__thread holds what a thread begins with");

static DWORD WINAPI start(void *arg)
{
    struct start *s = arg;

    s->body(s->user);
    return 0;
}

bool aki__thread_start(struct aki__thread *t, void (*body)(void *user), void *user)
{
    struct start *s = (struct start *)t;

    s->body = body;
    s->user = user;
    s->id = CreateThread(NULL, 0, start, s, 0, NULL);
    return s->id != NULL;
}

void aki__thread_join(struct aki__thread *t)
{
    WaitForSingleObject(((struct start *)t)->id, INFINITE);
    CloseHandle(((struct start *)t)->id);
}

void aki__relax(void) { YieldProcessor(); }

/* All of these are valid when zeroed, and hold nothing that were to be given back. */
struct bell { SRWLOCK lock; CONDITION_VARIABLE rung; };
_Static_assert(sizeof(struct bell) <= sizeof(struct aki__bell), "aki__bell holds a lock and a condition");
_Static_assert(sizeof(SRWLOCK) <= sizeof(struct aki__lock), "aki__lock holds a lock of Windows");

bool aki__bell_open(struct aki__bell *b)
{
    InitializeSRWLock(&((struct bell *)b)->lock);
    InitializeConditionVariable(&((struct bell *)b)->rung);
    return true;
}

void aki__bell_close(struct aki__bell *b) { (void)b; }

void aki__bell_wait(struct aki__bell *b, bool (*ready)(void *user), void *user)
{
    struct bell *bell = (struct bell *)b;

    AcquireSRWLockExclusive(&bell->lock);
    while (!ready(user))
        SleepConditionVariableSRW(&bell->rung, &bell->lock, INFINITE, 0);
    ReleaseSRWLockExclusive(&bell->lock);
}

void aki__bell_ring(struct aki__bell *b)
{
    struct bell *bell = (struct bell *)b;

    AcquireSRWLockExclusive(&bell->lock);
    WakeAllConditionVariable(&bell->rung);
    ReleaseSRWLockExclusive(&bell->lock);
}

void aki__lock_acquire(struct aki__lock *l) { AcquireSRWLockExclusive((SRWLOCK *)l); }

bool aki__lock_try(struct aki__lock *l) { return TryAcquireSRWLockExclusive((SRWLOCK *)l); }

void aki__lock_release(struct aki__lock *l) { ReleaseSRWLockExclusive((SRWLOCK *)l); }

/* These locks have no way to fail, and zero is SRWLOCK_INIT by its definition. */
aki_status aki__locks_check(aki_error *err)
{
    (void)err;
    return AKI_OK;
}

/* Windows starts a thread of its own for what is a signal elsewhere. */
void aki__signals_block(struct aki__signals *before) { before->known = false; }

void aki__signals_restore(const struct aki__signals *before) { (void)before; }
