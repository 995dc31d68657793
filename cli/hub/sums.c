/* Unit sums: sha256 of files and folders. See sums.h. */
#include "sums.h"

#include "digest.h"
#include "cli/shell/sink.h"
#include "cli/shell/system.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char sums_name[] = "SHA256SUMS";

enum { PATH_LIMIT = 8192, BLOCK = 1 << 20, SUMS_CEILING = 16 << 20 };

/* prefix: hashed before the file's bytes. */
static int hash_file(const char *path, enum digest_kind kind, const char *prefix, size_t prefix_size, char out[SUMS_TEXT])
{
    unsigned char sum[DIGEST_LIMIT];
    const char *why = "";
    FILE *f = system_fopen_regular(path, &why);
    struct digest *d = digest_begin(kind);
    char *block = malloc(BLOCK);
    size_t n;
    int rc = CLI_OK;

    out[0] = '\0';
    if (!f)
        rc = cli_fail(CLI_IO, "cannot read %s: %s", path, why);
    else if (!d || !block || !digest_add(d, prefix, prefix_size))
        rc = cli_fail(CLI_INTERNAL, "cannot compute a hash");
    while (!rc && (n = fread(block, 1, BLOCK, f)))
        if (!digest_add(d, block, n) || cli_signal)
            rc = cli_signal ? CLI_STOPPED + cli_signal : cli_fail(CLI_INTERNAL, "cannot compute a hash");
    if (!rc && ferror(f))
        rc = cli_fail(CLI_IO, "cannot read %s: %s", path, strerror(errno));
    size_t size = digest_end(d, rc ? NULL : sum);
    if (!rc && !size)
        rc = cli_fail(CLI_INTERNAL, "cannot compute a hash");
    for (size_t i = 0; i < size; i++)
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
    free(block);
    if (f)
        fclose(f);
    return rc;
}

int sums_file(const char *path, char out[SUMS_TEXT])
{
    return hash_file(path, DIGEST_SHA256, "", 0, out);
}

/* As git names a file's content: sha1 of "blob SIZE", a NUL and the file. */
static int git_file(const char *path, char out[SUMS_TEXT])
{
    char prefix[32];
    struct stat st;

    if (system_stat(path, &st))
        return cli_fail(CLI_IO, "cannot read %s: %s", path, strerror(errno));
    int size = snprintf(prefix, sizeof prefix, "blob %lld", (long long)st.st_size);
    return hash_file(path, DIGEST_SHA1, prefix, (size_t)size + 1, out);        /* with its NUL */
}

bool sums_is(const char *word, size_t digits)
{
    return strlen(word) == digits && strspn(word, "0123456789abcdef") == digits;
}

int sums_of_name(const char *path, const char *word, bool *same)
{
    char sum[SUMS_TEXT] = "";
    int rc = CLI_OK;

    if (sums_is(word, 64))
        rc = sums_file(path, sum);
    else if (sums_is(word, 40))
        rc = git_file(path, sum);
    /* Mirrors that are not git repositories have the plain sha1. */
    if (!rc && sums_is(word, 40) && strcmp(sum, word))
        rc = hash_file(path, DIGEST_SHA1, "", 0, sum);
    *same = !rc && (!*sum || !strcmp(sum, word));
    return rc;
}

/* ---------------------------------------------------------------- writing --------------------------------------- */

/* sha256sum escapes a name that would break its line: a \ before the line, and \n and \\ in the name. */
static void write_line(struct sink *out, const char *sum, const char *name)
{
    sink_printf(out, "%s%s  ", strpbrk(name, "\n\r\\") ? "\\" : "", sum);
    for (; *name; name++)
        if (*name == '\n')
            sink_bytes(out, "\\n", 2);
        else if (*name == '\r')
            sink_bytes(out, "\\r", 2);
        else
            sink_bytes(out, *name == '\\' ? "\\\\" : name, *name == '\\' ? 2 : 1);
    sink_bytes(out, "\n", 1);
}

int sums_write(const char *folder)
{
    struct names n;
    struct sink lines = { .fd = -1 }, out = { .fd = -1 };
    char path[PATH_LIMIT], sum[SUMS_TEXT];
    bool begun = false;
    int rc = names_read(&n, folder);

    for (size_t i = 0; i < n.count && !rc; i++) {
        if (!strcmp(n.list[i], sums_name))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, n.list[i]);
        rc = sums_file(path, sum);
        if (!rc)
            write_line(&lines, sum, n.list[i]);
    }
    snprintf(path, sizeof path, "%s/%s", folder, sums_name);
    if (!rc && lines.error)
        rc = cli_no_memory();
    if (!rc) {
        begun = true;
        rc = sink_open_file(&out, path, 0, 0);
        sink_bytes(&out, lines.buffer.data, lines.buffer.size);
    }
    rc = sink_close(&out, rc);
    if (rc && begun)
        system_remove(path);
    sink_close(&lines, rc);
    names_free(&n);
    return rc;
}

/* ---------------------------------------------------------------- checking -------------------------------------- */

static int read_all(const char *path, const char *folder, struct aki__buf *text)
{
    const char *why = "";
    FILE *f = system_fopen_regular(path, &why);
    size_t n = 1;

    if (!f && (errno == ENOENT || errno == ENOTDIR))
        return cli_fail(CLI_INPUT, "%s: no such file, so --check-files has nothing to check by; akiembed quantize writes one, and for files "
                        "known to be good: cd %s && sha256sum *.* */* > %s", path, folder, sums_name);
    if (!f)
        return cli_fail(CLI_IO, "cannot read %s: %s", path, why);
    while (n && text->size <= SUMS_CEILING && aki__buf_reserve(text, 65536, CLI_CEILING)) {
        n = fread(text->data + text->size, 1, 65536, f);
        text->size += n;
    }
    bool failed = ferror(f);
    fclose(f);
    if (failed)
        return cli_fail(CLI_IO, "cannot read %s", path);
    return n ? cli_fail(CLI_INPUT, "%s: too large", path) : CLI_OK;
}

/* Splits "SUM  NAME" (SUM *NAME; \SUM where the name is escaped) in place. false: not such a line. */
static bool split_line(char *line, char **sum, char **name)
{
    bool escaped = *line == '\\';
    size_t digits = 0;

    *sum = line += escaped;
    while (isxdigit((unsigned char)line[digits])) {
        line[digits] = (char)tolower((unsigned char)line[digits]);
        digits++;
    }
    if (digits != 64 || line[64] != ' ' || (line[65] != ' ' && line[65] != '*') || !line[66])
        return false;
    line[64] = '\0';
    *name = line + 66;
    char *to = *name;
    for (const char *s = *name; *s; s++)
        if (escaped && *s == '\\' && s[1])
            *to++ = *++s == 'n' ? '\n' : *s == 'r' ? '\r' : *s;
        else
            *to++ = *s;
    *to = '\0';
    while (!strncmp(*name, "./", 2))
        *name += 2;
    return **name && **name != '/' && strcmp(*name, "..") && strncmp(*name, "../", 3) && !strstr(*name, "/../");
}

/* *problem: what is wrong, in [160]; "" where nothing is. */
static int check_file(const char *folder, const char *name, const char *wanted, char problem[160])
{
    char path[PATH_LIMIT], sum[SUMS_TEXT];
    struct stat st;

    problem[0] = '\0';
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return cli_fail(CLI_INPUT, "%s/%s: a path too long", folder, sums_name);
    bool there = system_stat(path, &st) == 0;
    if (!there && (errno == ENOENT || errno == ENOTDIR)) {
        snprintf(problem, 160, "missing, but %s names it", sums_name);
        return CLI_OK;
    }
    if (there && !S_ISREG(st.st_mode)) {
        snprintf(problem, 160, "not a regular file, but %s names it", sums_name);
        return CLI_OK;
    }
    int rc = sums_file(path, sum);
    if (!rc && strcmp(sum, wanted))
        snprintf(problem, 160, "is not the file that %s names: sha256 %.16s..., not %.16s...", sums_name, sum, wanted);
    return rc;
}

/* What a model may be read from must be named: a file slipped in would otherwise be read unchecked. */
static bool matters(const char *name)
{
    static const char *const ends[] = { ".json", ".safetensors" };
    size_t size = strlen(name);

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (size > strlen(ends[i]) && !strcmp(name + size - strlen(ends[i]), ends[i]))
            return true;
    return false;
}

static int check_unnamed(const char *folder, struct names *named, int (*tell)(void *user, const char *name, const char *problem), void *user)
{
    struct names there;
    int rc = names_read(&there, folder);

    names_sort(named);
    for (size_t i = 0; i < there.count && !rc; i++)
        if (matters(there.list[i]) && !names_have(named, there.list[i]))
            rc = tell(user, there.list[i], "is there, but SHA256SUMS does not name it");
    names_free(&there);
    return rc;
}

int sums_each(const char *folder, int (*tell)(void *user, const char *name, const char *problem), void *user)
{
    struct aki__buf text = { 0 };
    struct names named = { 0 };
    char path[PATH_LIMIT], problem[160];
    int number = 0, rc = CLI_OK;

    if (snprintf(path, sizeof path, "%s/%s", folder, sums_name) >= (int)sizeof path)
        return cli_fail(CLI_INPUT, "%s: a path too long", folder);
    rc = read_all(path, folder, &text);
    if (!rc && !aki__buf_append(&text, "", 1, CLI_CEILING))
        rc = cli_no_memory();
    for (char *line = text.data, *next; !rc && line < text.data + text.size - 1; line = next) {
        size_t size = strcspn(line, "\n");
        char *sum = NULL, *name = NULL;
        next = line + size + 1;
        line[size - (size && line[size - 1] == '\r')] = '\0';
        number++;
        if (!split_line(line, &sum, &name))
            rc = cli_fail(CLI_INPUT, "%s, line %d: not a sha256, two blanks and a file's name inside the folder", path, number);
        else
            rc = check_file(folder, name, sum, problem);
        if (!rc)
            rc = tell(user, name, *problem ? problem : NULL);
        if (!rc && !names_add(&named, name))
            rc = cli_no_memory();
    }
    if (!rc)
        rc = check_unnamed(folder, &named, tell, user);
    names_free(&named);
    aki__buf_free(&text);
    return rc;
}

static int fail_first(void *user, const char *name, const char *problem)
{
    return problem ? cli_fail(CLI_CHECK, "%s/%s: %s", (const char *)user, name, problem) : CLI_OK;
}

int sums_check(const char *folder)
{
    int rc = sums_each(folder, fail_first, (char *)(uintptr_t)folder);

    if (!rc)
        cli_note("the files are as %s/%s says", folder, sums_name);
    return rc;
}
