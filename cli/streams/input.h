/* Unit input: the texts of a call, batch by batch: from the command line, a file or stdin; as lines, JSON lines, a column of CSV, or NUL-ended. */
#ifndef AKI_CLI_INPUT_H
#define AKI_CLI_INPUT_H

#include "csv.h"
#include "cli/shell/options.h"

/* A batch ends with the text that reaches one of these, or of the lower limits that input_set_pace gives. What is computed together
 * decides the last bit of f32 results, and so a resumed run must form the same batches: they never depend on time or load. */
enum { BATCH_TEXTS = 1024, BATCH_BYTES = 1 << 18 };
/* The longest text that is read; a longer one is an error naming its line. */
enum { TEXT_LIMIT = 64 << 20 };

enum input_form { INPUT_LINES, INPUT_JSONL, INPUT_NULL, INPUT_CSV };
/* Whether a line of jsonl may, or must, be an array of two strings. */
enum input_pairs { INPUT_NO_PAIRS, INPUT_ALSO_PAIRS, INPUT_ONLY_PAIRS };

struct piece {
    size_t text, text_size;                /* in batch.data */
    size_t extra, extra_size;              /* JSON members to pass through, without braces */
    size_t second, second_size;            /* the second text of a pair, in batch.data */
    bool   is_pair;
};

struct batch {
    struct aki__buf  data;
    struct piece *pieces;                  /* [count] */
    const char  **texts;                   /* [count] into data */
    size_t       *sizes;                   /* [count] */
    const char  **seconds;                 /* [count] second texts of pairs; NULL: no pair */
    size_t       *second_sizes;            /* [count] */
    size_t        count, capacity;
    uint64_t      first;                   /* number of its first text, from 0 */
};

struct input {
    int             fd;                    /* -1: the command line */
    const char     *name;                  /* for messages */
    enum input_form form;
    bool            owned, ended;
    bool            eager;                 /* hand out what is there rather than wait for more */
    size_t          batch_texts, batch_bytes;
    bool            raw;                   /* records as they are: jsonl lines are not looked into */
    enum input_pairs pairs;
    const char     *field;                 /* the member of jsonl, or the column of CSV, that has the text; NULL: "text", or not said */
    char            separator;             /* of CSV */
    struct csv_scan scan;
    struct csv_record heading, record;
    size_t          column;                /* of the text in the heading */
    uint64_t        line;                  /* of CSV: line breaks before the unread bytes */
    const char *const *words;              /* texts on the command line */
    size_t          word_count;
    const char *const *reserved;           /* members of jsonl that the output has itself; NULL-ended */
    size_t          dropped;               /* members left out for that */
    struct aki__buf    buffer;
    size_t          begin, scanned;        /* of the unread bytes; scanned: no end of record before it */
    uint64_t        taken;                 /* texts handed out */
    uint64_t        consumed, total;       /* bytes; total 0: not known */
};

/* The texts behind the first skip words of o; else -f; else stdin. */
int  input_open(struct input *in, const struct options *o, size_t skip);
/* A file of texts, - for stdin, in the form that o says, or else its name: .jsonl and .csv are what they are called. */
int  input_open_file(struct input *in, const char *path, const struct options *o);
/* A second file of a call, whose form its name alone says; --column and --field are for it too. */
int  input_open_beside(struct input *in, const char *path, const struct options *o);
/* Smaller batches for larger models, so that rows come out every few seconds and an interrupted run has little to do again. */
void input_set_pace(struct input *in, int64_t parameters);
/* Fills *b (zeroed at first, then reused); count 0: the end. */
int  input_batch(struct input *in, struct batch *b);
void input_close(struct input *in);
void batch_free(struct batch *b);

/* "lines.txt: line 17" for a message about a text, by its number from 0. */
const char *input_where(const struct input *in, uint64_t text, char *out, size_t size);
/* True where path is the file that in reads. */
bool input_is(const struct input *in, const char *path);

#endif
