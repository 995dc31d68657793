/* Bench hide_avx512: answers cpuid in a library whose cpuid instructions were replaced by ud2 (bench/hold.py): as this processor does, but
 * without anything newer than AVX2. There is no other way to hold ONNX Runtime's kernels to AVX2: they ask the processor, and know no switch. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

/* Bits of leaf 7 that are taken away: AVX-512 of every kind, AVX-VNNI, AMX, AVX10. */
static const struct { uint32_t subleaf, a, b, c, d; } hidden[] = {
    { 0, 0, 1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31, 1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14,
      1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25 },
    { 1, 1u << 4 | 1u << 5 | 1u << 21 | 1u << 23, 0, 0, 1u << 4 | 1u << 5 | 1u << 8 | 1u << 10 | 1u << 19 },
};

static void answer(int number, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *at = (const uint8_t *)r[REG_RIP];
    uint32_t leaf = (uint32_t)r[REG_RAX], subleaf = (uint32_t)r[REG_RCX], a, b, c, d;

    (void)info;
    if (at[0] != 0x0F || at[1] != 0x0B) {
        signal(number, SIG_DFL);        /* somebody else's: it comes again, and ends the process */
        return;
    }
    __cpuid_count(leaf, subleaf, a, b, c, d);
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (leaf == 7 && subleaf == hidden[i].subleaf) {
            a &= ~hidden[i].a;
            b &= ~hidden[i].b;
            c &= ~hidden[i].c;
            d &= ~hidden[i].d;
        }
    r[REG_RAX] = a;
    r[REG_RBX] = b;
    r[REG_RCX] = c;
    r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

__attribute__((constructor)) static void begin(void)
{
    struct sigaction a = { .sa_sigaction = answer, .sa_flags = SA_SIGINFO };

    sigaction(SIGILL, &a, NULL);
}
