/* Unit hits: texts with scores, sorted, and shown as a table on a terminal. */
#ifndef AKI_CLI_HITS_H
#define AKI_CLI_HITS_H

#include "cli/shell/sink.h"

struct hit {
    char    *text;                         /* malloc'd; NULL: not known */
    size_t   size;
    uint64_t index;
    float    score;
};

/* Zeroed is empty. */
struct hits {
    struct hit *list;                      /* [count] */
    size_t      count, capacity;
};

/* Adds a copy of the text. false: no memory. */
bool hits_add(struct hits *h, const char *text, size_t size, uint64_t index, float score);
/* Sorts, the best first and of equals the earlier; of more than top (0: all) drops the rest. */
void hits_keep_best(struct hits *h, size_t top);
void hits_by_index(struct hits *h);
void hits_free(struct hits *h);

/* A line for each: score, number from 1, a bar and the text. logits: scores are any numbers, not at most 1. Answers an exit code. */
int  hits_table(const struct hit *hits, size_t count, bool logits, struct sink *out);
/* The text in one line: what would break it, or steer a terminal, becomes a blank. Malloc'd; NULL: no memory. */
char *hits_line(const char *text, size_t text_size, size_t *size);
/* The text in one line of at most width columns. Answers an exit code. */
int  hits_text(const char *text, size_t size, size_t width, struct sink *out);

#endif
