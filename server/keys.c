/* Unit keys: the API keys of a file. See keys.h. */
#include "keys.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 256, KEY_LIMIT = 1024 };

/* Guards keys and count; held for a comparison of all, which is microseconds. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char (*keys)[KEY_SIZE];             /* [count], each padded with zeros */
static size_t count;

static bool read_lines(FILE *f, char (*out)[KEY_SIZE], size_t *read, char *problem, size_t size)
{
    char line[KEY_SIZE + 2];

    for (size_t number = 1; fgets(line, sizeof line, f); number++) {
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
        memcpy(out[(*read)++], line, length);
    }
    if (*read && !ferror(f))
        return true;
    snprintf(problem, size, "%s", ferror(f) ? "cannot be read" : "holds no key");
    return false;
}

bool keys_read(const char *path, char *problem, size_t size)
{
    char (*fresh)[KEY_SIZE] = calloc(KEY_LIMIT, KEY_SIZE);
    FILE *f = fresh ? fopen(path, "r") : NULL;
    size_t read = 0;
    bool ok = false;

    if (!f) {
        snprintf(problem, size, "%s", fresh ? strerror(errno) : "out of memory");
        goto done;
    }
    ok = read_lines(f, fresh, &read, problem, size);
    if (ok) {
        pthread_mutex_lock(&lock);
        char (*old)[KEY_SIZE] = keys;
        keys = fresh;
        count = read;
        pthread_mutex_unlock(&lock);
        fresh = old;
    }
done:
    if (f)
        fclose(f);
    free(fresh);
    return ok;
}

bool keys_check(const char *key)
{
    char padded[KEY_SIZE] = { 0 };
    size_t size = strlen(key);
    unsigned found = 0;

    if (size >= KEY_SIZE || !size)
        return false;
    memcpy(padded, key, size);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++) {
        volatile unsigned char differ = 0;                /* volatile: no early end may be made of it */
        for (size_t k = 0; k < KEY_SIZE; k++)
            differ |= (unsigned char)(keys[i][k] ^ padded[k]);
        found |= differ == 0;
    }
    pthread_mutex_unlock(&lock);
    return found != 0;
}

void keys_forget(void)
{
    pthread_mutex_lock(&lock);
    free(keys);
    keys = NULL;
    count = 0;
    pthread_mutex_unlock(&lock);
}
