/* Unit path for Windows: UTF-8 and what the system takes. See path.h. */
#include "util/path.h"

#include "util/memory.h"

#include <windows.h>

wchar_t *aki__wide(const char *text)
{
    int size = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    wchar_t *out = size > 0 ? aki__alloc((size_t)size, sizeof *out) : NULL;

    if (out)
        MultiByteToWideChar(CP_UTF8, 0, text, -1, out, size);
    return out;
}

char *aki__narrow(const wchar_t *text)
{
    int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *out = size > 0 ? aki__alloc((size_t)size, 1) : NULL;

    if (out)
        WideCharToMultiByte(CP_UTF8, 0, text, -1, out, size, NULL, NULL);
    return out;
}
