/* Unit arch: the families that there are. See arch.h. */
#include "arch/arch.h"

const struct aki__family *const aki__families[] = { &aki__family_bert, &aki__family_roberta, &aki__family_qwen3, NULL };

aki_status aki__arch_build(struct aki__graph *g, const struct aki__model *m)
{
    aki__blk x = m->family->build(g, m);

    if (!m->labels.count) {
        aki__g_finish(g, x);
        return g->rc;
    }
    x = aki__g_pool(g, x, AKI_ACT_NONE);
    aki__g_result(g, AKI_RESULT_HIDDEN, x);
    aki__g_result(g, AKI_RESULT_VECTORS, m->family->classify(g, m, x));
    return g->rc;
}
