/* Unit arch: the table of architectures. See arch.h. */
#include "arch/arch.h"

static const struct {
    const char *name;       /* config.json's model_type */
    void      (*build)(struct aki__graph *g, const struct aki__model *m);
} table[] = {
    { "bert",        aki__arch_bert },
    { "roberta",     aki__arch_bert },
    { "xlm-roberta", aki__arch_bert },
    { "camembert",   aki__arch_bert },
    { "qwen3",       aki__arch_qwen3 },
};

aki_status aki__arch_build(struct aki__graph *g, const struct aki__model *m)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, m->architecture) == 0) {
            table[i].build(g, m);
            return g->rc;
        }
    return g->rc = aki__fail(g->err, AKI_E_UNSUPPORTED, "%s/config.json: model_type \"%s\" is not implemented", m->path, m->architecture);
}
