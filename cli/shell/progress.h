/* Unit progress: how far the work is: a bar on a terminal, a line every few seconds elsewhere, nothing with --quiet. */
#ifndef AKI_CLI_PROGRESS_H
#define AKI_CLI_PROGRESS_H

#include <stdint.h>

/* The clock starts; nothing is shown before a second has passed. Messages (cli_fail and others) clear the bar first. */
void progress_start(void);
/* The input's bytes that an earlier run has done: they count for the share that is done, not for the time that is left. */
void progress_skip(uint64_t bytes);
/* Texts and tokens done since the start; bytes done of the input's total; total 0 where its size is not known. Cheap: call it often. */
void progress_show(uint64_t texts, uint64_t tokens, uint64_t bytes, uint64_t total);
/* For work whose measure is bytes: of total, the skipped ones (progress_skip) included. */
void progress_bytes(uint64_t bytes, uint64_t total);
/* For calls from inside a long step: tokens computed since the start, which tell how far it is with the bytes up to `reached`, that it reads. */
void progress_tick(uint64_t tokens, uint64_t reached);
/* For work that has no measure but its share of the whole. */
void progress_share(double done);
/* The end: clears the bar; on a terminal the totals stay if the work lasted over a second. */
void progress_end(void);

#endif
