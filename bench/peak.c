/* Bench peak: what one core computes at most with the instructions that products are made of: sums in registers, nothing read or written. What products
 * lack to it is the cost of loading and widening, and of tiles' ends.
 *
 *   bench_peak SET      one JSON line of GFLOP/s and GOP/s (a multiply-add is two) for an instruction set of the kernels, 0 where it is not known here */
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 20000, SUMS = 12 };         /* as many sums as a tile of AVX2 has, and more than the latency asks for */

#if defined(__x86_64__)
/* A loop over twelve registers; STEP(n) names one of them. Their contents do not matter: integers, and floats of zero. */
#define PEAK(name, STEP) \
    static void name(void) \
    { \
        __asm__ volatile("vzeroall" ::: "memory"); \
        for (int i = 0; i < ROUNDS; i++) \
            __asm__ volatile(STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10) STEP(11) STEP(12) STEP(13) STEP(14) STEP(15) ::: \
                             "xmm0", "xmm1", "xmm2", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"); \
    }
#define FMA_256(n) "vfmadd231ps %%ymm0, %%ymm1, %%ymm" #n "\n"
#define PAIRS_256(n) "vpmaddwd %%ymm0, %%ymm1, %%ymm2\nvpaddd %%ymm2, %%ymm" #n ", %%ymm" #n "\n"
#define DOT_256(n) "%{vex%} vpdpbusd %%ymm0, %%ymm1, %%ymm" #n "\n"
#define FMA_512(n) "vfmadd231ps %%zmm0, %%zmm1, %%zmm" #n "\n"
#define DOT_512(n) "vpdpbusd %%zmm0, %%zmm1, %%zmm" #n "\n"
PEAK(fma_256, FMA_256)
PEAK(pairs_256, PAIRS_256)
PEAK(dot_256, DOT_256)
PEAK(fma_512, FMA_512)
PEAK(dot_512, DOT_512)
#endif

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* operations: of one step. */
static double rate(void (*loop)(void), double operations)
{
    double least = 1e9, end = now() + 0.5;

    while (now() < end) {
        double begin = now();
        loop();
        double took = now() - begin;
        least = took < least ? took : least;
    }
    return operations * SUMS * ROUNDS / least * 1e-9;
}

int main(int argc, char **argv)
{
    static const struct { const char *set; void (*f32)(void), (*int8)(void); double f32_step, int8_step; } sets[] = {
#if defined(__x86_64__)
        { "avx2", fma_256, pairs_256, 16, 32 },
        { "avxvnni", fma_256, dot_256, 16, 64 },
        { "avx512", fma_512, dot_512, 32, 128 },
        { "avx512bf16", fma_512, dot_512, 32, 128 },
#endif
        { "", NULL, NULL, 0, 0 },
    };
    double f32 = 0, int8 = 0;

    for (size_t i = 0; sets[i].f32; i++)
        if (argc > 1 && strcmp(argv[1], sets[i].set) == 0) {
            f32 = rate(sets[i].f32, sets[i].f32_step);
            int8 = rate(sets[i].int8, sets[i].int8_step);
        }
    printf("{\"f32\": %.1f, \"int8\": %.1f}\n", f32, int8);
    return 0;
}
