/* Tests of ort/allocator: blocks of regions, which go when the last of their blocks does. */
#include "base/os.h"
#include "ort/allocator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Blocks of malloc that are not freed yet, as this program's own code asks for them. */
static atomic_int alive;

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

/* ---------------------------------------------------------------- threads --------------------------------------- */

static void take_and_give(void *user)
{
    enum { BLOCKS = 8, ROUNDS = 2000 };
    struct { unsigned char *data; size_t size; } blocks[BLOCKS] = { { 0 } };
    const unsigned char mine = (unsigned char)(uintptr_t)user;

    for (size_t i = 0; i < ROUNDS; i++) {
        size_t k = i * 7 % BLOCKS, size = ((i * 37 + mine) % 24 + 1) << 14;     /* some go back to malloc, some to a shelf */
        if (blocks[k].data && (blocks[k].data[0] != mine || blocks[k].data[blocks[k].size - 1] != mine))
            abort();
        aki__allocator_give(blocks[k].data);
        blocks[k].data = aki__allocator_take(size);
        blocks[k].size = size;
        if (!blocks[k].data)
            abort();
        blocks[k].data[0] = blocks[k].data[size - 1] = mine;
    }
    for (size_t k = 0; k < BLOCKS; k++)
        aki__allocator_give(blocks[k].data);
}

/* No block is two threads' at a time. */
static void test_threads(void **state)
{
    enum { THREADS = 64 };
    struct aki__thread threads[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_true(aki__thread_start(&threads[i], take_and_give, (void *)(uintptr_t)(i + 1)));
    for (size_t i = 0; i < THREADS; i++)
        aki__thread_join(&threads[i]);
}

/* Before test_threads, which leaves several blocks that would do. Threads one after the other take what those before gave back: a host whose threads come and go does not keep memory for each. */
static void take_once(void *user)
{
    void **last = user, *data = aki__allocator_take(100000);

    if (*last && data != *last)
        abort();
    *last = data;
    aki__allocator_give(data);
}

static void test_threads_in_turn(void **state)
{
    struct aki__thread thread;
    void *last = NULL;

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_true(aki__thread_start(&thread, take_once, &last));
        aki__thread_join(&thread);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_regions), cmocka_unit_test(test_threads_in_turn), cmocka_unit_test(test_threads) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
