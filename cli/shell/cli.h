/* Unit cli: what the program's parts share: exit codes, messages and the verbs. Sees akiembed.h and util/ only, nothing else of src/. */
#ifndef AKI_CLI_H
#define AKI_CLI_H

#include "util/buf.h"
#include "util/clock.h"
#include "util/utf8.h"

#include <signal.h>

/* Fixed by contract: scripts rely on them. 128 + n: stopped by signal n. */
enum { CLI_OK = 0, CLI_INTERNAL = 1, CLI_USAGE = 2, CLI_NO_MODEL = 3, CLI_INPUT = 4, CLI_DEVICE = 5, CLI_IO = 6, CLI_CHECK = 7, CLI_UNVERIFIED = 8,
       CLI_STOPPED = 128 };

/* Says on stderr what went wrong, "akiembed: …", and answers code, so that a failure is one line. */
int  cli_fail(int code, const char *format, ...) AKI_PRINTF(2, 3);
int  cli_no_memory(void);
/* The same for what does not end the run: warnings (silent with --quiet) and details (only with -v). */
void cli_warn(const char *format, ...) AKI_PRINTF(1, 2);
void cli_note(const char *format, ...) AKI_PRINTF(1, 2);
/* A note that is said without -v, but not with --quiet. */
void cli_tell(const char *format, ...) AKI_PRINTF(1, 2);
void cli_set_voice(bool quiet, bool verbose);
bool cli_quiet(void);
/* Receives these messages instead of stderr ("akiembed: …"); event: "error", "warning" or "note". */
typedef void cli_listener(const char *event, const char *text);
void cli_listen(cli_listener *own);

/* Called before a message goes to stderr, so that nothing drawn there stands in its line. NULL: nothing. */
void cli_before_message(void (*clear)(void));

/* The number of the SIGINT or SIGTERM that asked the program to stop, or 0. Long work looks at it between two steps. */
extern volatile sig_atomic_t cli_signal;

/* The most that a buffer (util/buf.h) grows to. */
#define CLI_CEILING ((size_t)1 << 32)
/* aki__realloc (util/memory.h) of the block whose pointer stands at pointer, which then points to the new one; on failure (false) it is as it was. */
bool cli_resize(void *pointer, size_t count, size_t size);
/* Makes sure that the array whose pointer stands at pointer, with count of *capacity elements of size bytes, can take one more. */
bool cli_room_for_one(void *pointer, size_t count, size_t *capacity, size_t size);

/* The name of a file ends so, in small letters or capitals; the end is not all of it. */
bool cli_has_end(const char *path, const char *end);

/* printf into a string of its own, malloc'd; NULL: no memory. */
char *cli_format(const char *format, ...) AKI_PRINTF(1, 2);

struct options;
int embed_run(const struct options *o);
int tokenize_run(const struct options *o);
int similarity_run(const struct options *o);
int rerank_run(const struct options *o);
int classify_run(const struct options *o);
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
