/* Unit kernel: which instruction set runs here, and the sizes that callers lend memory by. */
#include "kernel/kernel.h"
#include "kernel/attention_layout.h"

#include <stdlib.h>

#if defined(AKI_X86_KERNELS)
#  include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#  include <sys/auxv.h>
#endif

/* ---------------------------------------------------------------- dispatch -------------------------------------- */

extern const struct aki__kernels aki__kernels_baseline;
#if defined(AKI_X86_KERNELS)
extern const struct aki__kernels aki__kernels_avx2, aki__kernels_avx512;

/* __builtin_cpu_supports knows what the processor has and the system saves. */
static bool runs_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static bool runs_avx512(void)
{
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

const struct aki__kernels *aki__kernels_named(const char *isa)
{
#if defined(AKI_X86_KERNELS)
    if (!strcmp(isa, aki__kernels_avx512.isa))
        return runs_avx512() ? &aki__kernels_avx512 : NULL;
    if (!strcmp(isa, aki__kernels_avx2.isa))
        return runs_avx2() ? &aki__kernels_avx2 : NULL;
#endif
    return strcmp(isa, aki__kernels_baseline.isa) ? NULL : &aki__kernels_baseline;
}

const struct aki__kernels *aki__kernels(void)
{
    static const char *const best_first[] = { "avx512", "avx2", "baseline" };
    const char *wanted = getenv("AKIEMBED_ISA");
    const struct aki__kernels *found = wanted ? aki__kernels_named(wanted) : NULL;

    for (size_t i = 0; !found; i++)
        found = aki__kernels_named(best_first[i]);
    return found;
}

bool aki__kernels_exact_int8(void)
{
#if defined(AKI_X86_KERNELS)
    unsigned a = 0, b = 0, c = 0, d = 0;
    bool avx_vnni = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4) && __builtin_cpu_supports("avx2");
    return avx_vnni || __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__) && defined(__APPLE__)
    return true;                            /* every Apple processor since the A12 */
#elif defined(__aarch64__) && defined(__linux__)
    return getauxval(AT_HWCAP) & 1ul << 20; /* HWCAP_ASIMDDP */
#else
    return false;
#endif
}

/* ---------------------------------------------------------------- sizes ----------------------------------------- */

size_t aki__attention_work_size(const struct aki__attention *a)
{
    return a->queries * a->heads * att_depth(a) + a->kv_heads * att_panels(a) * PANEL * (a->head_dim + att_depth(a));
}

size_t aki__attention_scratch_size(const struct aki__attention *a)
{
    return att_rows(a) * (att_depth(a) + 2) + STRIP * KEY_BLOCK;
}

/* Panels of keys, then blocks of as many queries. */
size_t aki__attention_prepare_count(const struct aki__attention *a)
{
    return att_panels(a) + (a->queries + PANEL - 1) / PANEL;
}

size_t aki__attention_task_count(const struct aki__attention *a)
{
    return (a->queries / att_block(a) + a->texts) * a->kv_heads;
}

size_t aki__quantise_scratch_size(const struct aki__quantise *a)
{
    return a->k + AKI_QUANTISE_ROWS * (a->k + 64) / sizeof(float);
}

size_t aki__rotation_block(size_t k)
{
    size_t block = 1;

    while (block < 128 && k % (2 * block) == 0 && k)
        block *= 2;
    return block;
}
