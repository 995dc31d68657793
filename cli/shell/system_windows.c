/* Unit system for Windows. See system.h. */
#include "system.h"

#include "cli.h"
#include "machine.h"
#include "util/path.h"

#include <errno.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <windows.h>
#include <psapi.h>

/* Longest path that is met here, in UTF-16 units. */
enum { WIDE_PATH = 32768 };

/* ---------------------------------------------------------------- the process ----------------------------------- */

/* The first one asks the program to end where it next looks; then the default action is set again. */
static void on_signal(int number)
{
    cli_signal = number;
}

static UINT code_page_in, code_page_out;
static DWORD console_mode;
static bool draws;                         /* messages go to the console */

static void restore_console(void)
{
    if (draws)
        SetConsoleMode(GetStdHandle(STD_ERROR_HANDLE), console_mode);
    SetConsoleCP(code_page_in);
    SetConsoleOutputCP(code_page_out);
}

/* UTF-8, and the sequences that progress is drawn with. A console's settings outlive the program: they are restored at the end. */
static void set_console(void)
{
    code_page_in = GetConsoleCP();
    code_page_out = GetConsoleOutputCP();
    draws = GetConsoleMode(GetStdHandle(STD_ERROR_HANDLE), &console_mode);
    if (!code_page_out || atexit(restore_console))
        return;
    SetConsoleCP(CP_UTF8);
    SetConsoleOutputCP(CP_UTF8);
    if (draws)
        SetConsoleMode(GetStdHandle(STD_ERROR_HANDLE), console_mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

static void read_arguments(int *count, char ***arguments)
{
    int n = 0;
    wchar_t **list = CommandLineToArgvW(GetCommandLineW(), &n);
    char **out = list ? calloc((size_t)n + 1, sizeof *out) : NULL;
    bool ok = out != NULL;

    for (int i = 0; i < n && ok; i++)
        ok = (out[i] = aki__narrow(list[i])) != NULL;
    LocalFree(list);
    if (!ok)
        exit(cli_no_memory());
    *count = n;
    *arguments = out;
}

void system_begin(int *count, char ***arguments)
{
    _set_fmode(_O_BINARY);
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
    _setmode(2, _O_BINARY);
    set_console();
    read_arguments(count, arguments);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGBREAK, on_signal);
}

void system_default(const char *name, const char *value)
{
    if (!getenv(name))
        _putenv_s(name, value);
}

char *system_variable(const char *name)
{
    wchar_t *wide_name = aki__wide(name);
    const wchar_t *value = wide_name ? _wgetenv(wide_name) : NULL;
    char *out = value ? aki__narrow(value) : NULL;       /* never freed: few are asked for */

    free(wide_name);
    return out;
}

/* ---------------------------------------------------------------- files ----------------------------------------- */

int system_open(const char *path, int flags)
{
    wchar_t *name = aki__wide(path);
    int fd = name ? _wopen(name, flags | _O_BINARY, _S_IREAD | _S_IWRITE) : -1;

    free(name);
    return fd;
}

FILE *system_fopen(const char *path, const char *mode)
{
    wchar_t *name = aki__wide(path), *wide_mode = aki__wide(mode);
    FILE *f = name && wide_mode ? _wfopen(name, wide_mode) : NULL;

    free(name);
    free(wide_mode);
    return f;
}

int system_stat(const char *path, struct stat *out)
{
    wchar_t *name = aki__wide(path);
    size_t size = name ? wcslen(name) : 0;

    /* It refuses a folder's name that ends in a separator, except "C:/" */
    while (size > 1 && (name[size - 1] == L'/' || name[size - 1] == L'\\') && name[size - 2] != L':')
        name[--size] = 0;
    int rc = name ? _wstat64(name, out) : -1;
    free(name);
    return rc;
}

char *system_whole_path(const char *path)
{
    wchar_t *name = aki__wide(path), *whole = name ? _wfullpath(NULL, name, 0) : NULL;
    char *out = whole ? aki__narrow(whole) : NULL;

    for (char *s = out; s && *s; s++)
        if (*s == '\\')
            *s = '/';
    free(name);
    free(whole);
    return out;
}

int system_rename(const char *from, const char *to)
{
    wchar_t *old_name = aki__wide(from), *new_name = aki__wide(to);
    int rc = old_name && new_name && MoveFileExW(old_name, new_name, 0) ? 0 : -1;

    errno = EACCES;
    free(old_name);
    free(new_name);
    return rc;
}

int system_remove(const char *path)
{
    wchar_t *name = aki__wide(path);
    int rc = name && (DeleteFileW(name) || RemoveDirectoryW(name)) ? 0 : -1;

    errno = EACCES;
    free(name);
    return rc;
}

struct system_folder {
    HANDLE           search;
    WIN32_FIND_DATAW entry;
    bool             ready;                /* entry holds a name that was not returned yet */
    char            *name;
};

struct system_folder *system_folder_open(const char *path)
{
    struct system_folder *folder = calloc(1, sizeof *folder);
    char *all = cli_format("%s/*", path);
    wchar_t *pattern = all ? aki__wide(all) : NULL;

    errno = ENOENT;
    if (folder)
        folder->search = pattern ? FindFirstFileW(pattern, &folder->entry) : INVALID_HANDLE_VALUE;
    free(pattern);
    free(all);
    if (!folder || folder->search == INVALID_HANDLE_VALUE) {
        free(folder);
        return NULL;
    }
    folder->ready = true;
    return folder;
}

const char *system_folder_next(struct system_folder *folder)
{
    free(folder->name);
    folder->name = folder->ready ? aki__narrow(folder->entry.cFileName) : NULL;
    folder->ready = FindNextFileW(folder->search, &folder->entry);
    return folder->name;
}

void system_folder_close(struct system_folder *folder)
{
    FindClose(folder->search);
    free(folder->name);
    free(folder);
}

const char *system_home(void)
{
    const char *home = system_variable("USERPROFILE");

    return home && *home ? home : NULL;
}

int system_open_spill(char *path, size_t size)
{
    wchar_t folder[MAX_PATH + 2], name[MAX_PATH + 2];

    snprintf(path, size, "in %%TMP%%");
    errno = EACCES;
    if (!GetTempPathW(MAX_PATH + 1, folder) || !GetTempFileNameW(folder, L"aki", 0, name))
        return -1;
    HANDLE file = CreateFileW(name, GENERIC_READ | GENERIC_WRITE | DELETE, 0, NULL, CREATE_ALWAYS, FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL);
    int fd = file == INVALID_HANDLE_VALUE ? -1 : _open_osfhandle((intptr_t)file, _O_RDWR | _O_BINARY);
    if (fd < 0 && file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    return fd;
}

static HANDLE handle_of(int fd)
{
    return (HANDLE)_get_osfhandle(fd);
}

const void *system_map(int fd, size_t *size)
{
    LARGE_INTEGER bytes;
    HANDLE map = GetFileSizeEx(handle_of(fd), &bytes) ? CreateFileMappingW(handle_of(fd), NULL, PAGE_READONLY, 0, 0, NULL) : NULL;
    const void *view = map ? MapViewOfFile(map, FILE_MAP_READ, 0, 0, 0) : NULL;

    errno = EIO;
    *size = map ? (size_t)bytes.QuadPart : 0;
    if (map)
        CloseHandle(map);
    return view;
}

void system_unmap(const void *map, size_t size)
{
    (void)size;
    UnmapViewOfFile(map);
}

bool system_write_at(int fd, const void *data, size_t size, uint64_t at)
{
    OVERLAPPED place = { .Offset = (DWORD)at, .OffsetHigh = (DWORD)(at >> 32) };
    DWORD written = 0;

    errno = EIO;
    return size <= UINT32_MAX && WriteFile(handle_of(fd), data, (DWORD)size, &written, &place) && written == size;
}

/* Windows does not say: a file that has content counts as appended to. */
bool system_appends(int fd)
{
    LARGE_INTEGER size;

    return !GetFileSizeEx(handle_of(fd), &size) || size.QuadPart;
}

/* Opens what is at path, links followed, to ask about it. */
static HANDLE open_path(const char *path, DWORD flags)
{
    wchar_t *name = aki__wide(path);
    HANDLE file = name ? CreateFileW(name, FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                                     FILE_FLAG_BACKUP_SEMANTICS | flags, NULL) : INVALID_HANDLE_VALUE;

    free(name);
    return file;
}

int system_open_regular(const char *path, const char **why)
{
    int fd = system_open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        *why = strerror(errno);
        return -1;
    }
    if (GetFileType(handle_of(fd)) == FILE_TYPE_DISK)
        return fd;
    _close(fd);
    errno = EINVAL;
    *why = "not a regular file";
    return -1;
}

bool system_same_file(int fd, const char *path)
{
    BY_HANDLE_FILE_INFORMATION a, b;
    HANDLE file = open_path(path, 0);
    bool same = file != INVALID_HANDLE_VALUE && GetFileType(file) == FILE_TYPE_DISK && GetFileInformationByHandle(file, &a) &&
                GetFileInformationByHandle(handle_of(fd), &b) && !(a.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) &&
                a.dwVolumeSerialNumber == b.dwVolumeSerialNumber && a.nFileIndexHigh == b.nFileIndexHigh && a.nFileIndexLow == b.nFileIndexLow;

    if (file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    return same;
}

/* Pipes cannot be waited for; files always have something, and a console is taken to. */
bool system_readable(int fd, int milliseconds)
{
    HANDLE file = handle_of(fd);
    DWORD there = 0;

    if (GetFileType(file) != FILE_TYPE_PIPE)
        return true;
    for (;; milliseconds--) {
        if (!PeekNamedPipe(file, NULL, 0, NULL, &there, NULL) || there)
            return true;
        if (milliseconds <= 0)
            return false;
        Sleep(1);
    }
}

/* Where the link leads in the end: that is what is asked for, not its words. */
bool system_read_link(const char *path, char *target, size_t size)
{
    BY_HANDLE_FILE_INFORMATION about;
    wchar_t *name = malloc(WIDE_PATH * sizeof *name);
    HANDLE link = open_path(path, FILE_FLAG_OPEN_REPARSE_POINT), file = INVALID_HANDLE_VALUE;
    char *found = NULL;

    if (link != INVALID_HANDLE_VALUE && GetFileInformationByHandle(link, &about) && (about.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT))
        file = open_path(path, 0);
    DWORD n = name && file != INVALID_HANDLE_VALUE ? GetFinalPathNameByHandleW(file, name, WIDE_PATH, VOLUME_NAME_DOS) : 0;
    if (n && n < WIDE_PATH)
        found = aki__narrow(name);
    for (char *s = found; s && *s; s++)
        if (*s == '\\')
            *s = '/';
    bool ok = found && snprintf(target, size, "%s", found) < (int)size;
    free(found);
    free(name);
    if (link != INVALID_HANDLE_VALUE)
        CloseHandle(link);
    if (file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    return ok;
}

bool system_is_locked(const char *path)
{
    wchar_t *name = aki__wide(path);
    HANDLE file = name ? CreateFileW(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL)
                       : INVALID_HANDLE_VALUE;
    OVERLAPPED first = { 0 };
    bool locked = file != INVALID_HANDLE_VALUE && !LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &first);

    free(name);
    if (file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    return locked;
}

static int remove_failed(const wchar_t *path)
{
    DWORD why = GetLastError();
    char *name = aki__narrow(path);
    int rc = cli_fail(CLI_IO, "cannot remove %s: %s (error %lu of Windows)", name ? name : "a file",
                      why == ERROR_SHARING_VIOLATION || why == ERROR_ACCESS_DENIED ? "somebody has it open, or it is protected" : "it stays", (unsigned long)why);

    free(name);
    return rc;
}

/* path [WIDE_PATH]: grows by the names below, and is as before at the end. */
static int remove_tree(wchar_t *path, uint64_t *freed)
{
    WIN32_FIND_DATAW entry;
    WIN32_FILE_ATTRIBUTE_DATA about;
    size_t size = wcslen(path);
    int rc = CLI_OK;

    if (!GetFileAttributesExW(path, GetFileExInfoStandard, &about)) {
        DWORD why = GetLastError();
        return why == ERROR_FILE_NOT_FOUND || why == ERROR_PATH_NOT_FOUND ? CLI_OK : remove_failed(path);
    }
    const bool is_folder = about.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY, is_link = about.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT;
    if (!is_folder) {
        *freed += is_link ? 0 : (uint64_t)about.nFileSizeHigh << 32 | about.nFileSizeLow;
        return DeleteFileW(path) ? CLI_OK : remove_failed(path);
    }
    if (!is_link && size + MAX_PATH + 2 < WIDE_PATH) {
        wcscpy(path + size, L"/*");
        HANDLE search = FindFirstFileW(path, &entry);
        for (bool more = search != INVALID_HANDLE_VALUE; more && !rc; more = FindNextFileW(search, &entry)) {
            if (!wcscmp(entry.cFileName, L".") || !wcscmp(entry.cFileName, L".."))
                continue;
            wcscpy(path + size + 1, entry.cFileName);
            rc = remove_tree(path, freed);
        }
        if (search != INVALID_HANDLE_VALUE)
            FindClose(search);
        path[size] = 0;
    }
    return rc ? rc : RemoveDirectoryW(path) ? CLI_OK : remove_failed(path);
}

int system_remove_tree(const char *folder, const char *part, uint64_t *freed)
{
    char *whole = cli_format("%s/%s", folder, part);
    wchar_t *name = whole ? aki__wide(whole) : NULL, *path = name && wcslen(name) < WIDE_PATH ? calloc(WIDE_PATH, sizeof *path) : NULL;
    int rc = CLI_OK;

    if (path) {
        wcscpy(path, name);
        rc = remove_tree(path, freed);
    } else {
        rc = cli_no_memory();
    }
    free(path);
    free(name);
    free(whole);
    return rc;
}

/* ---------------------------------------------------------------- the terminal ---------------------------------- */

size_t system_columns(int fd)
{
    CONSOLE_SCREEN_BUFFER_INFO about;

    return GetConsoleScreenBufferInfo(handle_of(fd), &about) ? (size_t)(about.srWindow.Right - about.srWindow.Left + 1) : 0;
}

/* Marks, and the scripts of East Asia; what is rare is taken for one cell. */
int system_cells(uint32_t code)
{
    static const struct { uint32_t first, last; int cells; } ranges[] = {
        { 0, 0x1F, -1 }, { 0x7F, 0x9F, -1 }, { 0x300, 0x36F, 0 }, { 0x483, 0x489, 0 }, { 0x591, 0x5BD, 0 }, { 0x64B, 0x65F, 0 },
        { 0x1100, 0x115F, 2 }, { 0x1AB0, 0x1AFF, 0 }, { 0x1DC0, 0x1DFF, 0 }, { 0x200B, 0x200F, 0 }, { 0x20D0, 0x20FF, 0 }, { 0x2E80, 0x303E, 2 },
        { 0x3041, 0x4DBF, 2 }, { 0x4E00, 0xA4CF, 2 }, { 0xAC00, 0xD7A3, 2 }, { 0xF900, 0xFAFF, 2 }, { 0xFE00, 0xFE0F, 0 }, { 0xFE20, 0xFE2F, 0 },
        { 0xFE30, 0xFE6F, 2 }, { 0xFF00, 0xFF60, 2 }, { 0xFFE0, 0xFFE6, 2 }, { 0x1F300, 0x1F64F, 2 }, { 0x1F900, 0x1F9FF, 2 }, { 0x20000, 0x3FFFD, 2 },
    };

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return ranges[i].cells;
    return 1;
}

/* ---------------------------------------------------------------- the machine ----------------------------------- */

uint64_t machine_resident(void)
{
    PROCESS_MEMORY_COUNTERS counters;

    return GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters) ? counters.WorkingSetSize : 0;
}

uint64_t machine_peak(void)
{
    PROCESS_MEMORY_COUNTERS counters;

    return GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters) ? counters.PeakWorkingSetSize : 0;
}

/* A string of the registry, to be freed; NULL: none. */
static char *registry(const wchar_t *key, const wchar_t *name)
{
    wchar_t text[128];
    DWORD bytes = sizeof text;

    return RegGetValueW(HKEY_LOCAL_MACHINE, key, name, RRF_RT_REG_SZ, NULL, text, &bytes) ? NULL : aki__narrow(text);
}

const char *machine_processor(char *out, size_t size)
{
    char *name = registry(L"HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0", L"ProcessorNameString");

    snprintf(out, size, "%s", name ? name + strspn(name, " ") : "unknown");
    free(name);
    return out;
}

const char *machine_system(char *out, size_t size)
{
    char *number = registry(L"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", L"CurrentBuildNumber");

    snprintf(out, size, "Windows build %s x86_64", number ? number : "unknown");
    free(number);
    return out;
}

int system_apart(int (*body)(const void *user, void *out), const void *user, void *out, size_t size)
{
    (void)body;
    (void)user;
    (void)out;
    (void)size;
    return cli_fail(CLI_USAGE, "on Windows one number of threads is measured at a time");
}
