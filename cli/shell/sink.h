/* Unit sink: buffered bytes to a file or to stdout. Knows where rows end, so that a failure leaves only whole ones. */
#ifndef AKI_CLI_SINK_H
#define AKI_CLI_SINK_H

#include "cli.h"

#include <stdarg.h>

/* Errors stick: after one, writing does nothing, and sink_flush and sink_close answer its code. */
struct sink {
    int          fd;
    const char  *name;                     /* borrowed; for messages */
    bool         owned;                    /* a file opened here */
    bool         seekable;                 /* a regular file that is not appended to */
    struct aki__buf buffer;
    size_t      *ends;                     /* [end_count] ends of rows in buffer */
    size_t       end_count, end_capacity;
    uint64_t     start;                    /* where the first byte written here stands in a seekable file */
    uint64_t     base;                     /* bytes flushed */
    uint64_t     rows;                     /* whole rows flushed */
    int          error;                    /* errno of the failure; 0: none */
    bool         told;
};

/* All answer an exit code; on failure the message is out and sink_close is still due. */
int sink_open_stdout(struct sink *s);
/* Creates path, or empties it. keep > 0 (for --resume): keeps its first bytes, which hold rows whole rows, and goes on behind them. */
int sink_open_file(struct sink *s, const char *path, uint64_t keep, uint64_t rows);
/* A temporary file that has no name, written and read through s->fd. */
int sink_open_spill(struct sink *s);
int sink_flush(struct sink *s);
/* Flushes, closes, frees; answers rc, or the failure's code where rc is 0. */
int sink_close(struct sink *s, int rc);

void sink_bytes(struct sink *s, const void *data, size_t size);
void sink_printf(struct sink *s, const char *format, ...) AKI_PRINTF(2, 3);
/* A JSON string, quotes included; bytes that are not UTF-8 (file names may have them) become U+FFFD. */
void sink_json(struct sink *s, const char *text, size_t size);
/* JSON of a string that may be NULL. */
void sink_json_string(struct sink *s, const char *text);
void sink_f32(struct sink *s, float value);
void sink_int(struct sink *s, int64_t value);
/* A row ends here. Flushes when enough has gathered. */
void sink_row(struct sink *s);

#endif
