/* Unit kernel: the table of one instruction set's functions. */
#include "kernel/isa_half.h"

#define ISA_STRING(isa) #isa
#define ISA_NAME(isa) ISA_STRING(isa)

const struct aki__kernels ISA(kernels) = {
    .isa = ISA_NAME(AKI_ISA),
    .bf16 = BF16_PRODUCTS,
    .embed = ISA(embed),
    .norm = ISA(norm),
    .act = ISA(act),
    .rope = ISA(rope),
    .attention_prepare = ISA(attention_prepare),
    .attention_run = ISA(attention_run),
    .attention_keep = ISA(attention_keep),
    .quantise_rows = ISA(quantise_rows),
    .product = ISA(product),
    .product_scratch_size = ISA(product_scratch_size),
    .pack_float = ISA(pack_float),
    .pack_s8 = ISA(pack_s8),
    .squares = ISA(squares),
    .pool = ISA(pool),
    .search = ISA(search),
    .unpack = ISA(unpack),
    .keep_best = ISA(keep_best),
};
