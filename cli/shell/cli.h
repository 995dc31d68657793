/* Unit cli: what the program's parts share: exit codes, messages, memory and the verbs. Sees akiembed.h only, never src/. */
#ifndef AKI_CLI_H
#define AKI_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#  define CLI_PRINTF(string_at, first) __attribute__((format(printf, string_at, first)))
#else
#  define CLI_PRINTF(string_at, first)
#endif

/* Fixed by contract: scripts rely on them. 128 + n: stopped by signal n. */
enum { CLI_OK = 0, CLI_INTERNAL = 1, CLI_USAGE = 2, CLI_NO_MODEL = 3, CLI_INPUT = 4, CLI_DEVICE = 5, CLI_IO = 6, CLI_CHECK = 7, CLI_STOPPED = 128 };

/* Says on stderr what went wrong, "akiembed: …", and answers code, so that a failure is one line. */
int  cli_fail(int code, const char *format, ...) CLI_PRINTF(2, 3);
int  cli_no_memory(void);
/* The same for what does not end the run: warnings (silent with --quiet) and details (only with -v). */
void cli_warn(const char *format, ...) CLI_PRINTF(1, 2);
void cli_note(const char *format, ...) CLI_PRINTF(1, 2);
void cli_set_voice(bool quiet, bool verbose);
bool cli_quiet(void);
/* Receives these messages instead of stderr ("akiembed: …"); event: "error", "warning" or "note". */
typedef void cli_listener(const char *event, const char *text);
void cli_listen(cli_listener *own);

/* Called before a message goes to stderr, so that nothing drawn there stands in its line. NULL: nothing. */
void cli_before_message(void (*clear)(void));

/* The number of the SIGINT or SIGTERM that asked the program to stop, or 0. Long work looks at it between two steps. */
extern volatile sig_atomic_t cli_signal;

/* Bytes that grow by halves up to CLI_CEILING. Zeroed means empty and valid. */
struct bytes {
    char  *data;
    size_t size, capacity;
};
#define CLI_CEILING ((size_t)1 << 32)
bool bytes_reserve(struct bytes *b, size_t more);
bool bytes_append(struct bytes *b, const void *data, size_t size);
void bytes_free(struct bytes *b);
/* realloc for count elements of size bytes; NULL, the old block still valid, on overflow or without memory. */
void *cli_grow(void *block, size_t count, size_t size);
/* The same for the block whose pointer stands at pointer, which then points to the new one; on failure (false) it is as it was. */
bool cli_resize(void *pointer, size_t count, size_t size);
/* Makes sure that the array whose pointer stands at pointer, with count of *capacity elements of size bytes, can take one more. */
bool cli_room_for_one(void *pointer, size_t count, size_t *capacity, size_t size);

/* printf into a string of its own, malloc'd; NULL: no memory. */
char *cli_format(const char *format, ...) CLI_PRINTF(1, 2);

/* UTF-8. Offset of the first byte that is not valid, or SIZE_MAX. */
size_t utf8_check(const char *text, size_t size);
/* Length of the sequence at text (valid UTF-8) and its code point. */
size_t utf8_next(const char *text, uint32_t *code);
/* Writes code's 1 to 4 bytes to out and answers how many. */
size_t utf8_put(char *out, uint32_t code);

struct options;
int embed_run(const struct options *o);
int tokenize_run(const struct options *o);
int similarity_run(const struct options *o);
int info_run(const struct options *o);
int quantize_run(const struct options *o);
int export_run(const struct options *o);
int verify_run(const struct options *o);
int bench_run(const struct options *o);
int devices_run(const struct options *o);
int serve_run(const struct options *o);
int pull_run(const struct options *o);
int models_run(const struct options *o);
int rm_run(const struct options *o);
int check_run(const struct options *o);
int completion_run(const struct options *o);

#endif
