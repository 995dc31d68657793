/* Unit known: one known text at several lengths, with the vectors that the CPU computes of it in f32. A device that compiles a
 * program for each shape is compared with them at the first run of each program (aki__session_know). */
#ifndef AKI_KNOWN_H
#define AKI_KNOWN_H

#include "engine/engine.h"

struct aki__known_text;

/* Lays the text out in its lengths: 16, 32, 64 … tokens, up to the longest text of the model, and not beyond 512. */
aki_status aki__known_open(struct aki__known_text **out, aki_model *m, const struct aki__request *r, const char *text, aki_error *err);
void       aki__known_close(struct aki__known_text *k, aki_model *m);
/* Computes the vectors with m->session, which is then that of the CPU. */
aki_status aki__known_compute(struct aki__known_text *k, aki_model *m, const struct aki__request *r, aki_error *err);
/* The vectors: *count floats, computed above, or written by the caller. */
float     *aki__known_vectors(const struct aki__known_text *k, size_t *count);
/* m->session is compared with them from now on; bound: the least accepted cosine. The text must stay while the session is open. */
void       aki__known_expect(const struct aki__known_text *k, aki_model *m, double bound);

#endif
