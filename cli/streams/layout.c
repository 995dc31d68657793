/* Unit layout: how an output of a layout begins. See layout.h. */
#include "layout.h"

const char *layout_npy_type(const struct layout *layout)
{
    static const char *const types[] = { "<f4", "<f2", "|i1", "|u1", "|i1", "|u1" };     /* by AKI_DTYPE_* */

    return types[layout->dtype];
}

void layout_csv_heading(struct sink *s, const struct layout *layout)
{
    sink_printf(s, layout->chunks ? "index,chunk,begin,end,tokens" : layout->chunk_counts ? "index,tokens,chunks" : "index,tokens");
    for (size_t i = 0; i < layout->elements; i++)
        sink_printf(s, ",e%zu", i);
    sink_bytes(s, "\n", 1);
}
