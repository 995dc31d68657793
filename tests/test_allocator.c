/* Tests of ort/allocator: blocks of regions, which go when the last of their blocks does. */
#include "ort/allocator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Blocks of malloc that are not freed yet, as this program's own code asks for them. */
static int alive;

void *__real_malloc(size_t size);
void  __real_free(void *block);
void *__wrap_malloc(size_t size);
void  __wrap_free(void *block);

void *__wrap_malloc(size_t size)
{
    void *block = __real_malloc(size);

    alive += block != NULL;
    return block;
}

void __wrap_free(void *block)
{
    alive -= block != NULL;
    __real_free(block);
}

static void test_regions(void **state)
{
    enum { BLOCKS = 100 };
    char *blocks[BLOCKS];
    int before = alive;

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {       /* 80 MB together: three regions */
            size_t size = 1 + i * 16001;
            blocks[i] = aki__allocator_reserve(size);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % 64, 0);
            memset(blocks[i], (int)i, size);
        }
        assert_in_range(alive - before, 3, 4);
        for (size_t i = 0; i < BLOCKS; i++)         /* nobody wrote into another's */
            for (size_t k = 0; k < 1 + i * 16001; k += i * 16000 + 1)
                assert_int_equal(blocks[i][k], (char)i);
        for (size_t i = 0; i < BLOCKS; i++)
            aki__allocator_give(blocks[round == 1 ? BLOCKS - 1 - i : i]);
        assert_int_equal(alive, before);
    }
    assert_null(aki__allocator_reserve(0));
    assert_null(aki__allocator_reserve(33u << 20));
    assert_null(aki__allocator_reserve(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_regions) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
