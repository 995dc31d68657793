/* Unit answer: what the routes answer, each family's JSON. */
#ifndef AKI_SERVER_ANSWER_H
#define AKI_SERVER_ANSWER_H

#include "exchange.h"

/* The vectors of a finished job, or its scores. */
void answer_vectors(struct exchange *x, struct aki__buf *out);
void answer_scores(struct exchange *x, struct aki__buf *out);
void answer_info(struct exchange *x, struct aki__buf *out);
/* only: NULL is all of them. */
void answer_models_openai(const struct server *s, struct served *only, struct aki__buf *out);
/* loaded: those that are open, as /api/ps lists them; else all, as /api/tags does. */
void answer_models_ollama(struct server *s, bool loaded, struct aki__buf *out);
void answer_show(const struct exchange *x, struct aki__buf *out);
void answer_metrics(struct server *s, struct aki__buf *out);

enum { LABEL_SIZE = 32 };
/* The name of label i of a model that gives scores; own: room for one of a model whose files have none. */
const char *answer_label(const struct exchange *x, size_t i, char own[LABEL_SIZE]);

#endif
