/* Unit kernel: selects the instruction set, and computes the sizes of work memory. */
#include "kernel/kernel.h"
#include "kernel/attention_layout.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(AKI_X86_KERNELS)
#  include <cpuid.h>
#elif defined(AKI_ARM_KERNELS)
#  if defined(__APPLE__)
#    include <sys/sysctl.h>
#  elif defined(_WIN32)
#    include <windows.h>
#  else
#    include <sys/auxv.h>
#  endif
#endif

/* ---------------------------------------------------------------- dispatch -------------------------------------- */

extern const struct aki__kernels aki__kernels_baseline;
#if defined(AKI_X86_KERNELS)
extern const struct aki__kernels aki__kernels_avx2, aki__kernels_avxvnni, aki__kernels_avx512, aki__kernels_avx512bf16;

#if defined(_WIN32)
/* zig has no __builtin_cpu_supports, which is part of a library; this is the part that is needed. The names are bits of cpuid
 * 7, 0: ebx, then ecx. */
enum { AVX2 = 5, AVX512F = 16, AVX512DQ = 17, AVX512BW = 30, AVX512VL = 31, AVX512VNNI = 32 + 11 };

static bool has(uint64_t wanted)
{
    unsigned a, b, c, d, saved, high;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27) || !(c & 1u << 12) || !(c & 1u << 29))         /* xgetbv; FMA; F16C */
        return false;
    __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    const unsigned needed = wanted >> AVX512F & 1 ? 0xE6 : 0x06;       /* the registers that the system saves */
    return (saved & needed) == needed && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (((uint64_t)c << 32 | b) & wanted) == wanted;
}
#define HAS(bit) (UINT64_C(1) << (bit))

static bool runs_avx2(void) { return has(HAS(AVX2)); }
#else
/* __builtin_cpu_supports considers what the processor has and what the system saves. F16C by its bit: compilers learnt that name late. */
static bool runs_avx2(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}
#endif

/* A bit of cpuid 7, 1: eax. */
static bool is_set(int bit)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << bit);
}

/* Without VNNI (the first processors with AVX-512), the narrower set is not much slower. */
static bool runs_avx512(void)
{
#if defined(_WIN32)
    return has(HAS(AVX2) | HAS(AVX512F) | HAS(AVX512BW) | HAS(AVX512VL) | HAS(AVX512DQ) | HAS(AVX512VNNI));
#else
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
#endif
}

#if defined(AKI_EVEX)
static bool runs_avxvnni(void) { return runs_avx512(); }
#else
static bool runs_avxvnni(void) { return runs_avx2() && is_set(4); }
#endif

static bool runs_avx512bf16(void) { return runs_avx512() && is_set(5); }
#elif defined(AKI_ARM_KERNELS)
extern const struct aki__kernels aki__kernels_dotprod, aki__kernels_i8mm;

#if defined(__APPLE__)
static bool has(const char *feature)
{
    int there = 0;
    size_t size = sizeof there;
    return !sysctlbyname(feature, &there, &size, NULL, 0) && there;
}

static bool runs_dotprod(void) { return has("hw.optional.arm.FEAT_DotProd"); }
static bool runs_i8mm(void) { return runs_dotprod() && has("hw.optional.arm.FEAT_I8MM"); }
#elif defined(_WIN32)
/* PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE and PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE, which older headers lack. */
static bool runs_dotprod(void) { return IsProcessorFeaturePresent(43); }
static bool runs_i8mm(void) { return runs_dotprod() && IsProcessorFeaturePresent(66); }
#else
/* HWCAP_ASIMDDP and HWCAP2_I8MM, which older headers lack. */
static bool runs_dotprod(void) { return getauxval(AT_HWCAP) & 1ul << 20; }
static bool runs_i8mm(void) { return runs_dotprod() && getauxval(AT_HWCAP2) & 1ul << 13; }
#endif
#endif

static bool always(void) { return true; }

/* Best first. */
static const struct { const struct aki__kernels *set; bool (*runs)(void); } sets[] = {
#if defined(AKI_X86_KERNELS)
    { &aki__kernels_avx512bf16, runs_avx512bf16 }, { &aki__kernels_avx512, runs_avx512 }, { &aki__kernels_avxvnni, runs_avxvnni }, { &aki__kernels_avx2, runs_avx2 },
#elif defined(AKI_ARM_KERNELS)
    { &aki__kernels_i8mm, runs_i8mm }, { &aki__kernels_dotprod, runs_dotprod },
#endif
    { &aki__kernels_baseline, always },
};

const struct aki__kernels *aki__kernels_named(const char *isa)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (!strcmp(isa, sets[i].set->isa))
            return sets[i].runs() ? sets[i].set : NULL;
    return NULL;
}

/* The set that AKIEMBED_ISA names; NULL: none. */
static const char *asked_for(void)
{
    const char *wanted = getenv("AKIEMBED_ISA");
    return wanted && *wanted ? wanted : NULL;
}

aki_status aki__kernels_ready(aki_error *err)
{
    const char *wanted = asked_for();
    char there[128] = "";

    if (!wanted || aki__kernels_named(wanted))
        return AKI_OK;
    for (size_t i = 0, size = 0; i < sizeof sets / sizeof *sets && size < sizeof there; i++)
        if (sets[i].runs())
            size += (size_t)snprintf(there + size, sizeof there - size, "%s%s", size ? ", " : "", sets[i].set->isa);
    return aki__fail(err, AKI_E_UNAVAILABLE,
                     "AKIEMBED_ISA: no instruction set \"%.40s\" here; this build and this processor have %s", wanted, there);
}

static const struct aki__kernels *choose(void)
{
    const char *wanted = asked_for();
    const struct aki__kernels *found = wanted ? aki__kernels_named(wanted) : NULL;

    for (size_t i = 0; !found; i++)
        found = sets[i].runs() ? sets[i].set : NULL;
    return found;
}

const struct aki__kernels *aki__kernels(void)
{
    /* Once: cpuid is slow in a virtual machine, and a host may change its environment while threads run. */
    static _Atomic(const struct aki__kernels *) chosen;
    const struct aki__kernels *set = atomic_load(&chosen), *mine;

    if (!set) {
        mine = choose();
        set = atomic_compare_exchange_strong(&chosen, &set, mine) ? mine : set;     /* else another thread was first */
    }
    return set;
}

aki_status aki__kernels_bf16(aki_error *err)
{
    const struct aki__kernels *set = aki__kernels();

    return set->bf16 ? AKI_OK : aki__fail(err, AKI_E_UNAVAILABLE, "bf16: no products of it here: the instruction set is %s, and only avx512bf16 has them; "
                                                                  "use f32 or int8", set->isa);
}

/* ---------------------------------------------------------------- sizes ----------------------------------------- */

size_t aki__attention_work_size(const struct aki__attention *a)
{
    return a->queries * a->heads * att_row(a) + a->kv_heads * att_panels(a) * PANEL * (att_key(a) + att_row(a));
}

size_t aki__attention_scratch_size(const struct aki__attention *a)
{
    return att_rows(a) * (att_depth(a) + 2) + STRIP * KEY_BLOCK;
}

/* Panels of keys, and then blocks of queries. */
size_t aki__attention_prepare_count(const struct aki__attention *a)
{
    return att_panels(a) + (a->queries + PANEL - 1) / PANEL;
}

size_t aki__attention_task_count(const struct aki__attention *a)
{
    return (a->queries / att_block(a) + a->texts) * a->kv_heads;
}

size_t aki__rotation_block(size_t k)
{
    size_t block = 1;

    while (block < 128 && k % (2 * block) == 0 && k)
        block *= 2;
    return block;
}
