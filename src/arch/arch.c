/* Unit arch: the families that there are. See arch.h. */
#include "arch/arch.h"

const struct aki__family *const aki__families[] = { &aki__family_bert, &aki__family_roberta, &aki__family_qwen3, NULL };

aki_status aki__arch_build(struct aki__graph *g, const struct aki__model *m)
{
    m->family->build(g, m);
    return g->rc;
}
