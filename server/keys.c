/* Unit keys: the API keys of a file. See keys.h. */
#include "keys.h"

#include "system.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 256, KEY_LIMIT = 1024 };

/* Padded with zeros, and compared by words. */
struct api_key {
    uint64_t words[KEY_SIZE / sizeof(uint64_t)];
};

/* Guards keys and count. Threads that compare do not wait for one another. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct api_key *keys;                   /* [count] */
static size_t count;

static bool read_lines(FILE *f, struct api_key *out, size_t *read, char *problem, size_t size)
{
    static const char mark[] = "\xEF\xBB\xBF";              /* U+FEFF, with which files saved on Windows begin: no part of the first key */
    char text[KEY_SIZE + sizeof mark + 1], *line = text;

    for (size_t number = 1; fgets(text, sizeof text, f); number++) {
        line = number == 1 && !strncmp(text, mark, strlen(mark)) ? text + strlen(mark) : text;
        size_t length = strcspn(line, "\n");
        bool ended = line[length] == '\n' || feof(f);
        while (length && isspace((unsigned char)line[length - 1]))
            length--;
        if (!ended || length >= KEY_SIZE || *read == KEY_LIMIT) {
            snprintf(problem, size, "line %zu: %s", number, *read == KEY_LIMIT ? "too many keys" : "a key is at most 255 bytes");
            return false;
        }
        if (!length || line[0] == '#')
            continue;
        memcpy(out[(*read)++].words, line, length);
    }
    system_wipe(text, sizeof text);
    if (*read && !ferror(f))
        return true;
    snprintf(problem, size, "%s", ferror(f) ? "cannot be read" : "holds no key");
    return false;
}

static void free_keys(struct api_key *list)
{
    if (list)
        system_wipe(list, KEY_LIMIT * sizeof *list);
    free(list);
}

bool keys_read(const char *path, char *problem, size_t size)
{
    struct api_key *fresh = calloc(KEY_LIMIT, sizeof *fresh);
    FILE *f = fresh ? fopen(path, "r") : NULL;
    size_t read = 0;
    bool ok = false;

    if (!f) {
        snprintf(problem, size, "%s", fresh ? strerror(errno) : "out of memory");
        goto done;
    }
    setvbuf(f, NULL, _IONBF, 0);                              /* no copy of it in a buffer of stdio's */
    ok = read_lines(f, fresh, &read, problem, size);
    if (ok) {
        pthread_rwlock_wrlock(&lock);
        struct api_key *old = keys;
        keys = fresh;
        count = read;
        pthread_rwlock_unlock(&lock);
        fresh = old;
    }
done:
    if (f)
        fclose(f);
    free_keys(fresh);
    return ok;
}

bool keys_check(const char *key)
{
    struct api_key given = { 0 };
    size_t size = strlen(key);
    unsigned found = 0;

    if (size >= KEY_SIZE || !size)
        return false;
    memcpy(given.words, key, size);
    pthread_rwlock_rdlock(&lock);
    for (size_t i = 0; i < count; i++) {
        uint64_t differ = 0;
        for (size_t k = 0; k < KEY_SIZE / sizeof(uint64_t); k++)
            differ |= keys[i].words[k] ^ given.words[k];
        volatile uint64_t whole = differ;                 /* volatile: no early end may be made of it */
        found |= whole == 0;
    }
    pthread_rwlock_unlock(&lock);
    return found != 0;
}

void keys_forget(void)
{
    pthread_rwlock_wrlock(&lock);
    free_keys(keys);
    keys = NULL;
    count = 0;
    pthread_rwlock_unlock(&lock);
}
