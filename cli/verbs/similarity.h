/* Unit similarity: the verb `similarity`: what its two forms, over texts and over vectors in a file, share. */
#ifndef AKI_CLI_SIMILARITY_H
#define AKI_CLI_SIMILARITY_H

#include "cli/hub/model.h"
#include "cli/shell/sink.h"

struct hit {
    char    *text;                         /* malloc'd; NULL: not known */
    size_t   size;
    uint64_t index;
    float    score;
};

/* Options of one side. kind: AKI_KIND_*. */
int similarity_side(const struct model *m, const struct options *o, int kind, aki_embed_options *e);
/* The query's vector, malloc'd [dim] floats, by the opened model. */
int similarity_query(const struct model *m, const struct options *o, float **vector);
/* To stdout: a table on a terminal, lines, or JSON. Texts are numbered from 1, as lines are. */
int similarity_write(const struct options *o, const struct hit *hits, size_t count);
/* The text in one line: what would break it, or steer a terminal, becomes a blank. Malloc'd; NULL: no memory. */
char *similarity_line(const char *text, size_t text_size, size_t *size);
/* --vectors. */
int similarity_vectors(const struct options *o);

#endif
