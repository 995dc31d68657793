/* Unit unfinished: the file beside an unfinished output. See unfinished.h. */
#include "unfinished.h"

#include "cli/shell/system.h"

#include "util/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 1 << 20, MARK_SIZE = 80 };
static const char magic[] = "akiembed: what the file beside this one is made of, until it is finished (embed --resume)\n";
/* One write of a few bytes in one place: a process that is killed leaves the old mark or the new one. */
#define MARK "mark: %020" PRIu64 " texts, %020" PRIu64 " rows, %016" PRIx64 "\n"
#define MARK_READ "mark: %" SCNu64 " texts, %" SCNu64 " rows, %" SCNx64

/* The line of that name, the size that its name has: its value. */
static const char *find_line(const char *text, const char *line, size_t name_size, size_t *size)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length > name_size && !memcmp(text, line, name_size) && text[name_size] == ':') {
            *size = length - name_size - 1;
            return text + name_size + 1;
        }
        text += length + (text[length] == '\n');
    }
    *size = 0;
    return NULL;
}

static int refuse(const struct unfinished *u, const char *line, size_t name_size, const char *then, size_t then_size, const char *now, size_t now_size)
{
    return cli_fail(CLI_USAGE, "--resume: %s was begun with %.*s%.*s%s, now it is%.*s%s; nothing is changed (--force writes it anew)", u->output, (int)name_size,
                    line, (int)then_size, then ? then : "", then ? "" : " not given", (int)now_size, now ? now : "", now ? "" : " not given");
}

/* Every line that one of both has is in the other, with the same value. */
static int compare(const struct unfinished *u, const char *then, const char *now)
{
    for (int turn = 0; turn < 2; turn++) {
        const char *lines = turn ? then : now, *others = turn ? now : then;
        for (size_t length; *lines; lines += length + (lines[length] == '\n')) {
            length = strcspn(lines, "\n");
            size_t name = 0, own, other;
            while (name < length && lines[name] != ':')
                name++;
            if (!strncmp(lines, "mark:", 5))
                continue;
            const char *a = find_line(lines, lines, name, &own), *b = find_line(others, lines, name, &other);
            if (a && (!b || own != other || memcmp(a, b, own)))
                return turn ? refuse(u, lines, name, a, own, b, other) : refuse(u, lines, name, b, other, a, own);
        }
    }
    return CLI_OK;
}

/* What an earlier run left: *text malloc'd, behind the magic; NULL: nothing. */
static int read_earlier(struct unfinished *u, char **text)
{
    FILE *f = system_fopen(u->path, "rb");
    char *all = f ? malloc(MOST + 1) : NULL;

    *text = NULL;
    if (!f)
        return errno == ENOENT ? CLI_OK : cli_fail(CLI_IO, "cannot read %s: %s", u->path, strerror(errno));
    if (!all) {
        fclose(f);
        return cli_no_memory();
    }
    size_t size = fread(all, 1, MOST, f);
    fclose(f);
    all[size] = '\0';
    const char *mark = strstr(all, "\nmark: ");
    /* One that was torn while it was begun belongs to an output that has no row yet. */
    if (mark && sscanf(mark + 1, MARK_READ, &u->texts, &u->rows, &u->hash) != 3)
        u->texts = u->rows = 0;
    if (size >= sizeof magic - 1 && memcmp(all, magic, sizeof magic - 1)) {
        free(all);
        return cli_fail(CLI_USAGE, "%s is there and not of akiembed; nothing is changed", u->path);
    }
    *text = all;
    return CLI_OK;
}

static int judge(struct unfinished *u, const char *earlier, const char *made_of, enum unfinished_how how, bool format_resumes)
{
    struct stat st;
    bool there = system_stat(u->output, &st) == 0 && st.st_size > 0;

    if (how == UNFINISHED_RESUME && !earlier && there)
        return cli_fail(CLI_USAGE, "--resume: %s is finished, or not of akiembed: no %s says of what it is made; nothing is changed (without --resume it is "
                        "written anew)", u->output, u->path);
    if (how == UNFINISHED_NEW && u->rows && there)
        return cli_fail(CLI_USAGE, "%s is half done, with %" PRIu64 " rows: %s--force writes it anew", u->output, u->rows,
                        format_resumes ? "--resume goes on with it, " : "");
    if (how == UNFINISHED_RESUME && u->rows && there)
        return compare(u, earlier + sizeof magic - 1, made_of);
    u->texts = u->rows = 0;
    return CLI_OK;
}

static int write_mark(struct unfinished *u)
{
    char mark[MARK_SIZE + 16];
    int size = snprintf(mark, sizeof mark, MARK, u->texts, u->rows, u->hash);

    return system_write_at(u->fd, mark, (size_t)size, u->mark_at) ? CLI_OK : cli_fail(CLI_IO, "cannot write %s: %s", u->path, strerror(errno));
}

static int begin_file(struct unfinished *u, const struct aki__buf *made_of)
{
    u->fd = system_open(u->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    u->mark_at = sizeof magic - 1 + made_of->size;
    if (u->fd < 0 || !system_write_at(u->fd, magic, sizeof magic - 1, 0) || !system_write_at(u->fd, made_of->data, made_of->size, sizeof magic - 1))
        return cli_fail(CLI_IO, "cannot write %s: %s", u->path, strerror(errno));
    return write_mark(u);
}

int unfinished_open(struct unfinished *u, const char *output, const struct aki__buf *made_of, enum unfinished_how how, bool format_resumes)
{
    struct stat st;
    char *earlier = NULL;

    *u = (struct unfinished){ .output = output, .fd = -1 };
    if (!output)
        return CLI_OK;
    if (system_stat(output, &st) == 0 && !S_ISREG(st.st_mode))
        return how == UNFINISHED_RESUME ? cli_fail(CLI_USAGE, "--resume: %s is not a regular file; nothing is changed", output) : CLI_OK;
    u->path = cli_format("%s.resume", output);
    if (!u->path)
        return cli_no_memory();
    int rc = read_earlier(u, &earlier);
    if (!rc)
        rc = judge(u, earlier, made_of->data, how, format_resumes);
    if (!rc)
        rc = begin_file(u, made_of);
    free(earlier);
    return rc;
}

int unfinished_texts(struct unfinished *u, const struct batch *b)
{
    for (size_t i = 0; i < b->count && u->path; i++) {
        const struct piece *p = &b->pieces[i];
        const size_t sizes[2] = { p->text_size, p->extra_size };
        u->hash_seen = aki__hash(sizes, sizeof sizes, u->hash_seen);
        u->hash_seen = aki__hash(b->texts[i], p->text_size, u->hash_seen);
        u->hash_seen = aki__hash(b->data.data + p->extra, p->extra_size, u->hash_seen);
    }
    u->seen += b->count;
    if (!u->path || u->seen != u->texts || u->hash_seen == u->hash)
        return CLI_OK;
    return cli_fail(CLI_USAGE, "--resume: the first %" PRIu64 " texts are not those that %s was begun with; no row is added (--force writes it anew)", u->texts,
                    u->output);
}

int unfinished_mark(struct unfinished *u, uint64_t rows)
{
    if (!u->path || u->seen <= u->texts)
        return CLI_OK;
    u->texts = u->seen;
    u->rows = rows;
    u->hash = u->hash_seen;
    return write_mark(u);
}

int unfinished_close(struct unfinished *u, int rc, bool has_rows)
{
    if (u->fd >= 0) {
        close(u->fd);
        if (!rc || !has_rows)
            system_remove(u->path);
    }
    free(u->path);
    return rc;
}
