/* Unit similarity: the verb `similarity`: what its two forms, over texts and over vectors in a file, share. */
#ifndef AKI_CLI_SIMILARITY_H
#define AKI_CLI_SIMILARITY_H

#include "hits.h"
#include "cli/hub/model.h"

/* Options of one side. kind: AKI_KIND_*. */
int similarity_side(const struct model *m, const struct options *o, int kind, aki_embed_options *e);
/* The query's vector, malloc'd [dim] floats, by the opened model. */
int similarity_query(const struct model *m, const struct options *o, float **vector);
/* To stdout: a table on a terminal, lines, or JSON. Texts are numbered from 1, as lines are. */
int similarity_write(const struct options *o, const struct hit *hits, size_t count);
/* --vectors. */
int similarity_vectors(const struct options *o);

#endif
