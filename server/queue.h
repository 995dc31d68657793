/* Unit batch, the queue: see batch.h. But for queue_finish the lock of the model is held. */
#ifndef AKI_SERVER_QUEUE_H
#define AKI_SERVER_QUEUE_H

#include "batch.h"

/* Takes *link out of the queue. */
struct batch_job *queue_remove(struct served *s, struct batch_job **link);
/* The same for a job of which no text is in a run: it goes to *dead with that status. */
void queue_drop(struct served *s, struct batch_job **link, int status, struct batch_job **dead);
/* Moves jobs that nobody waits for any more to *dead. */
void queue_drop_dead(struct served *s, struct batch_job **dead);
/* Moves jobs beyond their deadline, of which no text is in a run, to *dead. */
void queue_drop_late(struct served *s, double now, struct batch_job **dead);
/* Does somebody wait, beside those of the run, of whom it is certain? */
bool queue_others_wait(const struct served *s);
/* JOB_WAITS, or why it need not be computed any more. others: somebody else waits. */
int  job_verdict(const struct batch_job *j, double now, bool others);
/* Without the lock: calls finish of each job of the list. */
void queue_finish(struct served *s, struct batch_job *list);

#endif
