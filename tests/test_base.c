/* Tests of base/: errors, memory, checked sizes, buffers, UTF-8, hash, half floats, files, processors, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/os.h"
#include "base/pool.h"
#include "host.h"

#include <errno.h>
#include <math.h>
#if !defined(_WIN32)
#  include <pthread.h>
#  include <signal.h>
#endif
#if defined(__linux__)
#  include <sched.h>
#endif
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__APPLE__)
#  include <sys/sysctl.h>
#endif
#include <unistd.h>

/* ---------------------------------------------------------------- errors ---------------------------------------- */

static void test_fail_fills_the_error(void **state)
{
    aki_error e;

    (void)state;
    assert_int_equal(aki__fail(&e, AKI_E_IO, "%s: %d", "x.json", 7), AKI_E_IO);
    assert_int_equal(e.status, AKI_E_IO);
    assert_int_equal(e.item, -1);
    assert_int_equal(e.offset, 0);
    assert_string_equal(e.message, "x.json: 7");

    assert_int_equal(aki__fail_at(&e, AKI_E_INVALID, 3, UINT64_C(5000000000), "bad"), AKI_E_INVALID);
    assert_int_equal(e.item, 3);
    assert_true(e.offset == UINT64_C(5000000000));
    aki__fail_at(&e, AKI_E_INVALID, SIZE_MAX, 0, "bad");
    assert_int_equal(e.item, INT32_MAX);

    assert_int_equal(aki__name_item(&e, AKI_E_INVALID, 9), AKI_E_INVALID);
    assert_int_equal(e.item, 9);
    assert_int_equal(aki__name_item(&e, AKI_OK, 4), AKI_OK);
    assert_int_equal(e.item, 9);

    assert_int_equal(aki__fail(NULL, AKI_E_NOMEM, "nobody listens"), AKI_E_NOMEM);
    assert_int_equal(aki__name_item(NULL, AKI_E_NOMEM, 1), AKI_E_NOMEM);
}

/* A message is one line of UTF-8 whatever went in, cut between characters. */
static void test_fail_keeps_messages_clean(void **state)
{
    char filler[300];
    aki_error e;

    (void)state;
    aki__fail(&e, AKI_E_IO, "a\nb\tc\x1F" "d");
    assert_string_equal(e.message, "a b c d");
    aki__fail(&e, AKI_E_IO, "file \xFF\xC3" "name \xE4\xBD");
    assert_string_equal(e.message, "file ??name ??");

    for (size_t before = sizeof e.message - 6; before <= sizeof e.message + 2; before++) {
        memset(filler, 'x', before);
        filler[before] = '\0';
        aki__fail(&e, AKI_E_IO, "%s\xF0\x9F\x98\x80\xF0\x9F\x98\x80", filler);
        size_t size = strlen(e.message);
        assert_true(size < sizeof e.message);
        assert_true(aki__utf8_check(e.message, size) == AKI_UTF8_VALID);
        assert_null(strchr(e.message, '?'));
        size_t kept = before < sizeof e.message - 1 ? before : sizeof e.message - 1;
        assert_true(size >= kept && (size - kept) % 4 == 0);
    }
}

static void test_status_names(void **state)
{
    (void)state;
    for (int i = AKI_OK; i <= AKI_E_CANCELLED; i++) {
        assert_string_not_equal(aki_status_name(i), "unknown status");
        for (int k = AKI_OK; k < i; k++)
            assert_string_not_equal(aki_status_name(i), aki_status_name(k));
    }
    assert_string_equal(aki_status_name(-1), "unknown status");
    assert_string_equal(aki_status_name(10), "unknown status");
}

static void test_version_agrees_with_itself(void **state)
{
    unsigned a, b, c;

    (void)state;
    assert_int_equal(sscanf(aki_version(), "%u.%u.%u", &a, &b, &c), 3);
    assert_int_equal(aki_version_number(), a * 1000000 + b * 1000 + c);
}

/* ---------------------------------------------------------------- memory ---------------------------------------- */

static void test_sizes_are_checked(void **state)
{
    size_t out = 42;

    (void)state;
    assert_true(aki__add(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    assert_false(aki__add(SIZE_MAX, 1, &out));
    assert_true(aki__mul(SIZE_MAX / 2, 2, &out) && out == SIZE_MAX - 1);
    assert_false(aki__mul(SIZE_MAX / 2 + 1, 2, &out));

    assert_null(aki__alloc(SIZE_MAX / 2 + 1, 2));
    assert_null(aki__zalloc(SIZE_MAX / 2 + 1, 2));
    assert_null(aki__alloc_aligned(SIZE_MAX - 8, 1));
    assert_null(aki__copy_string("x", SIZE_MAX));
}

static void test_nothing_is_a_valid_size(void **state)
{
    (void)state;
    void *a = aki__alloc(0, 8), *b = aki__zalloc(0, 8), *c = aki__alloc_aligned(0, 1);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    a = aki__realloc(a, 0, 1);
    assert_non_null(a);
    aki__free(a);
    aki__free(b);
    aki__free_aligned(c);
    aki__free(NULL);
    aki__free_aligned(NULL);
}

static void test_realloc_keeps_the_block_on_failure(void **state)
{
    (void)state;
    char *a = aki__copy_string("kept", 4);
    assert_null(aki__realloc(a, SIZE_MAX / 2 + 1, 2));
    assert_string_equal(a, "kept");
    aki__free(a);
}

static void test_aligned_memory(void **state)
{
    (void)state;
    for (size_t size = 0; size < 200; size += 7) {
        char *p = aki__alloc_aligned(size, 1);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 1, size);
        aki__free_aligned(p);
    }
}

static void test_buffers_stop_at_their_ceiling(void **state)
{
    struct aki__buf b = { 0 };

    (void)state;
    assert_true(aki__buf_append(&b, NULL, 0, 10));
    assert_int_equal(b.size, 0);
    for (int i = 0; i < 5; i++)
        assert_true(aki__buf_append(&b, "ab", 2, 10));
    assert_false(aki__buf_append(&b, "c", 1, 10));
    assert_int_equal(b.size, 10);
    assert_memory_equal(b.data, "ababababab", 10);
    assert_false(aki__buf_reserve(&b, SIZE_MAX, SIZE_MAX));
    assert_true(aki__buf_reserve(&b, 100, 110));
    assert_true(b.capacity >= 110);
    aki__buf_free(&b);
    assert_null(b.data);
    assert_int_equal(b.capacity, 0);
    aki__buf_free(&b);
}

static void test_grow(void **state)
{
    int32_t *a = NULL;
    size_t capacity = 0, grown = 0;

    (void)state;
    for (size_t i = 0; i < 10000; i++) {
        size_t before = capacity;
        assert_true(aki__grow((void **)&a, &capacity, i + 1, sizeof *a));
        assert_true(capacity > i);
        grown += before != capacity && before >= 4096;        /* up to 4,096 elements builds with AddressSanitizer leave no room */
        a[i] = (int32_t)i;
    }
    assert_true(grown < 10);        /* by halves, not one by one */
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(a[i], i);
    int32_t *old = a;
    size_t old_capacity = capacity;
    assert_false(aki__grow((void **)&a, &capacity, SIZE_MAX, sizeof *a));
    assert_ptr_equal(a, old);
    assert_int_equal(capacity, old_capacity);
    aki__free(a);
}

/* ---------------------------------------------------------------- UTF-8 ----------------------------------------- */

static void test_utf8_round_trip_of_every_scalar(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char text[5] = { 0 };
        const char *p = text;
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        size_t size = aki__utf8_encode(c, text);
        assert_int_equal(size, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        assert_true(aki__utf8_check(text, size) == AKI_UTF8_VALID);
        assert_int_equal(aki__utf8_next(&p), c);
        assert_ptr_equal(p, text + size);
        for (size_t cut = 1; cut < size; cut++)
            assert_int_equal(aki__utf8_check(text, cut), 0);
    }
}

static void test_utf8_names_the_first_bad_byte(void **state)
{
    static const struct { const char *bytes; size_t size, at; } rows[] = {
        { "\x80", 1, 0 },                         /* a tail alone */
        { "abc\xC0\x80", 5, 3 },                  /* overlong, 2 bytes */
        { "\xC1\xBF", 2, 0 },
        { "\xE0\x9F\xBF", 3, 0 },                 /* overlong, 3 bytes */
        { "\xF0\x8F\xBF\xBF", 4, 0 },             /* overlong, 4 bytes */
        { "12345678\xED\xA0\x80", 11, 8 },        /* a surrogate, behind a whole word of ASCII */
        { "\xED\xBF\xBF", 3, 0 },
        { "\xF4\x90\x80\x80", 4, 0 },             /* above 0x10FFFF */
        { "\xF5\x80\x80\x80", 4, 0 },
        { "\xFF", 1, 0 },
        { "1234567\xFE", 8, 7 },                  /* in the last byte of a word */
        { "\xC3\xA9\xC3", 3, 2 },                 /* cut */
        { "\xE4\xBD", 2, 0 },
        { "\xF0\x9F\x98", 3, 0 },
        { "\xE4\xBDx", 3, 0 },                    /* the third byte is no tail */
        { "\xF0\x9F\x98x", 4, 0 },
        { "a\0\xFF", 3, 2 },                      /* NUL is a character */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (aki__utf8_check(rows[i].bytes, rows[i].size) != rows[i].at)
            fail_msg("row %zu: %zu, not %zu", i, aki__utf8_check(rows[i].bytes, rows[i].size), rows[i].at);
    assert_true(aki__utf8_check("", 0) == AKI_UTF8_VALID);
    assert_true(aki__utf8_check("a\0b", 3) == AKI_UTF8_VALID);
    assert_true(aki__utf8_check("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF", 10) == AKI_UTF8_VALID);
}

/* ---------------------------------------------------------------- hash ------------------------------------------ */

static int bits(uint64_t x) { return __builtin_popcountll(x); }

static void test_hash_depends_on_every_bit(void **state)
{
    unsigned char text[64];
    long flipped = 0, flips = 0;

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)(i * 37 + 11);
    for (size_t size = 1; size <= sizeof text; size++) {
        uint64_t h = aki__hash(text, size, 0);
        assert_true(h == aki__hash(text, size, 0));
        assert_true(h != aki__hash(text, size, 1));
        assert_true(h != aki__hash(text, size - 1, 0));
        for (size_t bit = 0; bit < size * 8; bit++) {
            text[bit / 8] ^= (unsigned char)(1 << bit % 8);
            uint64_t other = aki__hash(text, size, 0);
            text[bit / 8] ^= (unsigned char)(1 << bit % 8);
            assert_true(other != h);
            flipped += bits(h ^ other);
            flips++;
        }
    }
    /* Half of the 64 bits on average, were it a random function. */
    double mean = (double)flipped / (double)flips;
    assert_true(mean > 30 && mean < 34);
}

static void test_hash_sees_the_size(void **state)
{
    static const char zeros[40];
    uint64_t seen[40];

    (void)state;
    for (size_t i = 0; i < 40; i++) {
        seen[i] = aki__hash(zeros, i, 7);
        for (size_t k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
    }
}

/* ---------------------------------------------------------------- half floats ----------------------------------- */

/* By the definition of binary16. */
static double slow_half(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY)
                 : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);

    return h & 0x8000 ? -value : value;
}

static void test_every_half_float(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = aki__f16_to_f32((uint16_t)h);
        double expected = slow_half((uint16_t)h);
        if (isnan(expected)) {
            assert_true(isnan(f));
            uint16_t back = aki__f32_to_f16(f);
            assert_true((back & 0x7C00) == 0x7C00 && (back & 0x3FF) != 0);
        } else {
            assert_true((double)f == expected && !signbit(f) == !signbit(expected));
            assert_int_equal(aki__f32_to_f16(f), h);
        }
    }
}

/* Between every two neighbours: below the middle goes down, above it up, the middle itself to the even one. */
static void test_half_floats_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint16_t h = 0; h < 0x7C00; h++) {
        /* The neighbour of the largest finite value would be 65536. */
        double low = slow_half(h), high = h + 1 == 0x7C00 ? 65536.0 : slow_half((uint16_t)(h + 1));
        float middle = (float)((low + high) / 2);
        uint16_t even = h & 1 ? (uint16_t)(h + 1) : h;
        assert_int_equal(aki__f32_to_f16(middle), even);
        assert_int_equal(aki__f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(aki__f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(aki__f32_to_f16(-middle), 0x8000 | even);
    }
    assert_int_equal(aki__f32_to_f16(3e38f), 0x7C00);
    assert_int_equal(aki__f32_to_f16(-INFINITY), 0xFC00);
    assert_int_equal(aki__f32_to_f16(1e-40f), 0);
    assert_int_equal(aki__f32_to_f16(-0.0f), 0x8000);
}

static void test_bf16(void **state)
{
    (void)state;
    assert_true(aki__bf16_to_f32(0x3F80) == 1.0f);
    assert_true(aki__bf16_to_f32(0xC040) == -3.0f);
    assert_true(isinf(aki__bf16_to_f32(0x7F80)));
    assert_true(isnan(aki__bf16_to_f32(0x7FC0)));
    assert_true(aki__bf16_to_f32(0x0001) == 0x1p-133f);
}

/* ---------------------------------------------------------------- files ----------------------------------------- */

static char folder[512];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/base-XXXXXX", AKI_BINARY_DIR);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return host_drop(folder);
}

static char *make_file(const char *name, const char *text)
{
    char *path = aki__join(folder, name);
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
    return path;
}

static void expect_no_map(const char *path, aki_status status, const char *what)
{
    struct aki__map m = { .data = "rubbish", .size = 9, .handle = &m };
    aki_error e;

    assert_int_equal(aki__map_open(&m, path, &e), status);
    assert_null(m.data);
    assert_int_equal(m.size, 0);
    assert_non_null(strstr(e.message, path));
    assert_non_null(strstr(e.message, what));
    aki__map_close(&m);
}

static void test_map_of_a_file(void **state)
{
    char *path = make_file("file", "four"), *empty = make_file("empty", "");
    struct aki__map m;

    (void)state;
    assert_int_equal(aki__map_open(&m, path, NULL), AKI_OK);
    assert_int_equal(m.size, 4);
    assert_memory_equal(m.data, "four", 4);
    aki__map_release(&m, m.data, m.size);
    assert_memory_equal(m.data, "four", 4);
    aki__map_close(&m);
    assert_null(m.data);
    aki__map_close(&m);

    assert_int_equal(aki__map_open(&m, empty, NULL), AKI_OK);
    assert_int_equal(m.size, 0);
    assert_non_null(m.data);
    aki__map_release(&m, m.data, 0);
    aki__map_close(&m);
    aki__free(path);
    aki__free(empty);
}

/* A small file is read, a large one mapped: only there it matters what becomes of the file, and it is noticed. */
static void test_map_of_a_file_that_changes(void **state)
{
    char *path = aki__join(folder, "changes");

    (void)state;
    for (int large = 0; large < 2; large++) {
        struct aki__map m, watched;
        uint64_t now = 0;
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        for (size_t i = 0; i < AKI_MAP_COPIED + (size_t)large; i++)
            assert_int_equal(putc((int)('a' + i % 26), f), 'a' + (int)(i % 26));
        assert_int_equal(fclose(f), 0);
        assert_int_equal(aki__map_open(&m, path, NULL), AKI_OK);
        assert_int_equal(aki__map_watch(&watched, path, NULL), AKI_OK);
        assert_int_equal((uintptr_t)m.data % 64, 0);
        assert_int_equal(m.size, AKI_MAP_COPIED + (size_t)large);
        assert_int_equal(watched.size, m.size);
        assert_true(aki__map_is_whole(&m, &now) && aki__map_is_whole(&watched, &now));
#if !defined(_WIN32)
        assert_int_equal(truncate(path, 4096), 0);
        assert_int_equal(aki__map_is_whole(&m, &now), !large);
        now = 0;
        assert_false(aki__map_is_whole(&watched, &now));
        assert_int_equal(now, 4096);
        if (!large)
            assert_int_equal(m.data[AKI_MAP_COPIED - 1], 'a' + (AKI_MAP_COPIED - 1) % 26);
        /* One that takes its place is another file. */
        assert_int_equal(truncate(path, (off_t)m.size), 0);
        assert_int_equal(unlink(path), 0);
        assert_true(aki__map_is_whole(&m, &now) && aki__map_is_whole(&watched, &now));
#endif
        aki__map_close(&m);
        aki__map_close(&watched);
    }
    aki__free(path);
}

/* Pages that were given back hold the file's bytes when they are touched again, and their neighbours never left. */
static void test_map_release_of_whole_pages(void **state)
{
    char *path = aki__join(folder, "file");
    FILE *f = fopen(path, "wb");
    struct aki__map m;

    (void)state;
    assert_non_null(f);
    for (int i = 0; i < 65536; i++)
        fputc((i * 7 ^ i >> 8) & 0xFF, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(aki__map_open(&m, path, NULL), AKI_OK);
    aki__map_release(&m, m.data + 100, 50000);
    aki__map_release(&m, m.data, m.size);
    for (int i = 0; i < 65536; i++)
        assert_int_equal((unsigned char)m.data[i], (i * 7 ^ i >> 8) & 0xFF);
    aki__map_close(&m);
    aki__free(path);
}

#if defined(_WIN32)
static void test_what_is_no_regular_file_is_refused(void **state)
{
    char *file = make_file("file", "x"), *missing = aki__join(folder, "missing"), *below = aki__join(file, "below"), *nowhere = aki__join(missing, "x");

    (void)state;
    expect_no_map(missing, AKI_E_NOT_FOUND, "(2)");
    expect_no_map(nowhere, AKI_E_NOT_FOUND, "(3)");
    expect_no_map(below, AKI_E_NOT_FOUND, "(3)");
    expect_no_map(folder, AKI_E_IO, "not a regular file");
    expect_no_map("NUL", AKI_E_IO, "not a regular file");
    assert_true(aki__is_folder(folder) && !aki__is_file(folder));
    assert_true(aki__is_file(file) && !aki__is_folder(file));
    assert_true(!aki__is_file("NUL") && !aki__is_file(missing) && !aki__is_folder(missing));
    aki__free(file), aki__free(missing), aki__free(below), aki__free(nowhere);
}
#else
static void test_what_is_no_regular_file_is_refused(void **state)
{
    char *file = make_file("file", "x"), *missing = aki__join(folder, "missing"), *below = aki__join(file, "below");
    char *fifo = aki__join(folder, "fifo"), *loop = aki__join(folder, "loop"), *dangling = aki__join(folder, "dangling");

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink(loop, loop), 0);
    assert_int_equal(symlink(missing, dangling), 0);
    expect_no_map(missing, AKI_E_NOT_FOUND, "No such file");
    expect_no_map(dangling, AKI_E_IO, "a link to a file that is missing");
    expect_no_map(below, AKI_E_NOT_FOUND, "Not a directory");
    expect_no_map(folder, AKI_E_IO, "not a regular file");
    expect_no_map(fifo, AKI_E_IO, "not a regular file");      /* and opening it does not wait for a writer */
    expect_no_map(loop, AKI_E_IO, "ymbolic link");              /* glibc and musl say it differently */
    expect_no_map("/dev/null", AKI_E_IO, "not a regular file");

    assert_true(aki__is_folder(folder) && !aki__is_file(folder));
    assert_true(aki__is_file(file) && !aki__is_folder(file));
    assert_true(!aki__is_file(fifo) && !aki__is_folder(fifo) && !aki__is_file(missing) && !aki__is_folder(missing));
    aki__free(file), aki__free(missing), aki__free(below), aki__free(fifo), aki__free(loop), aki__free(dangling);
}
#endif

static void find_name(void *user, const char *name)
{
    static const char wanted[] = "gr\xC3\xB6\xC3\x9F" "e \xE6\x97\xA5\xE6\x9C\xAC";

    *(int *)user += strcmp(name, wanted) == 0;
}

/* Names are UTF-8, whatever the system does with them. */
static void test_names(void **state)
{
    char *below = aki__join(folder, "\xC3\xA4"), *path = aki__join(below, "gr\xC3\xB6\xC3\x9F" "e \xE6\x97\xA5\xE6\x9C\xAC");
    struct aki__map m;
    int found = 0;

    (void)state;
    assert_false(aki__folder_is_empty(below));          /* it is not there */
    assert_int_equal(aki__make_folder(below, NULL), AKI_OK);
    assert_int_equal(aki__make_folder(below, NULL), AKI_OK);
    assert_true(aki__folder_is_empty(below));
    FILE *f = aki__file_create(path);
    assert_non_null(f);
    assert_int_equal(fputs("a\nb", f) < 0 || fclose(f), 0);
    assert_int_equal(aki__map_open(&m, path, NULL), AKI_OK);
    assert_int_equal(m.size, 3);
    aki__map_close(&m);
    assert_false(aki__folder_is_empty(below));
    aki__folder_each(below, find_name, &found);
    assert_int_equal(found, 1);
    char *real = aki__real_path(path);
    assert_non_null(real);
    assert_non_null(strstr(real, "/\xC3\xA4/gr"));
    assert_string_equal(aki__last_part(real), aki__last_part(path));
    assert_string_equal(aki__last_part("x"), "x");
    assert_string_equal(aki__last_part("a/b/"), "");
#if defined(_WIN32)
    assert_string_equal(aki__last_part("a\\b/c\\d"), "d");
#endif
    assert_int_equal(aki__make_folder(path, NULL), AKI_E_IO);       /* a file */
    assert_null(aki__file_create(below));
    aki__file_remove(below);                                        /* is not empty: stays */
    assert_true(aki__is_file(path));
    aki__file_remove(path);
    assert_false(aki__is_file(path));
    aki__file_remove(below);
    assert_false(aki__is_folder(below));
    assert_null(aki__real_path(path));
    aki__free(real), aki__free(path), aki__free(below);
}

static void count_names(void *user, const char *name)
{
    *(int *)user += strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void test_file_replace(void **state)
{
    char *path = aki__join(folder, "\xC3\xA4.json"), system[200];
    struct aki__map m;
    uint64_t size = 0;
    int64_t seconds = 0;
    int names = 0;

    (void)state;
    assert_false(aki__file_stamp(path, &size, &seconds));
    assert_true(aki__file_replace(path, "longer", 6));
    assert_true(aki__file_replace(path, "a\r\n", 3));
    assert_int_equal(aki__map_open(&m, path, NULL), AKI_OK);
    assert_int_equal(m.size, 3);
    assert_memory_equal(m.data, "a\r\n", 3);
    aki__map_close(&m);
    assert_true(aki__file_stamp(path, &size, &seconds));
    assert_int_equal(size, 3);
    assert_true(seconds > 1700000000 && seconds < 9000000000);          /* of this century */
    aki__folder_each(folder, count_names, &names);
    assert_int_equal(names, 1);                                         /* nothing lies beside it */
    assert_false(aki__file_replace(folder, "a", 1));
    aki__system_name(system, sizeof system);
    assert_true(strlen(system) > 8);
    aki__free(path);
}

static void test_join(void **state)
{
    static const struct { const char *folder, *path; } rows[] = {
        { "a", "a/x" }, { "a/", "a/x" }, { "a//", "a/x" }, { "/", "//x" }, { "a/b", "a/b/x" } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *path = aki__join(rows[i].folder, "x");
        assert_string_equal(path, rows[i].path);
        assert_string_equal(aki__part_below(rows[i].folder, path), "x");
        aki__free(path);
    }
    assert_string_equal(aki__part_below("a//////", "a/b/x"), "b/x");
    assert_string_equal(aki__part_below("a", "a////x"), "x");
}

/* ---------------------------------------------------------------- processors, threads --------------------------- */

#if defined(__linux__)
static void test_cores_respect_the_affinity_mask(void **state)
{
    cpu_set_t before, one;
    int all = aki__cores();

    (void)state;
    assert_true(all >= 1 && all <= sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &before))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        assert_int_equal(aki__cores(), 1);
    }
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(aki__cores(), all);
}
#else
static void test_cores_respect_the_affinity_mask(void **state)
{
    (void)state;
    assert_true(aki__cores() >= 1);
}
#endif

/* Of macOS' own answers nothing is known here; of those of tests/darwin/ all is. */
#if defined(AKI_TEST_DARWIN_SYSCTL_H)
static void test_kinds_of_cores(void **state)
{
    static const struct { struct darwin_number numbers[3]; size_t count; int cores; } machines[] = {
        { { { "hw.physicalcpu", 10 }, { "hw.perflevel0.physicalcpu", 6 }, { "hw.perflevel1.physicalcpu", 4 } }, 3, 6 },
        { { { "hw.physicalcpu", 8 } }, 1, 8 },                                                  /* one kind of core */
        { { { "hw.physicalcpu", 3 }, { "hw.perflevel0.physicalcpu", 0 } }, 2, 3 },              /* no fast one, as in a virtual machine */
        { { { "hw.ncpu", 4 } }, 1, 0 },                                                         /* it tells of neither */
    };
    const int all = (int)sysconf(_SC_NPROCESSORS_ONLN);

    (void)state;
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        darwin_machine(machines[i].numbers, machines[i].count);
        assert_int_equal(aki__cores(), machines[i].cores ? machines[i].cores : all);
    }
    darwin_machine(NULL, 0);
    assert_int_equal(aki__cores(), all);
}
#endif

struct tally {
    atomic_int     done[500];
    struct aki__lock lock;
    long           sum;         /* under lock */
    int            slow;        /* one index of so many takes about a millisecond, for which the others go to sleep; 0: none */
};

static void wait_awake(void)
{
    for (int turn = 0; turn < 20000; turn++)
        aki__relax();
}

static void count_one(void *user, size_t i)
{
    struct tally *t = user;

    if (t->slow && (atomic_load(&t->done[i]) + 5 * (int)i) % t->slow == 0)
        wait_awake();
    atomic_fetch_add(&t->done[i], 1);
    aki__lock_acquire(&t->lock);
    t->sum += (long)i;
    aki__lock_release(&t->lock);
}

static void test_pool_does_each_once(void **state)
{
    static const size_t counts[] = { 0, 1, 2, 7, 500 };
    static const int threads[] = { -1, 0, 1, 2, 3, 20 };

    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        for (size_t k = 0; k < sizeof threads / sizeof *threads; k++) {
            struct tally *t = aki__zalloc(1, sizeof *t);
            struct aki__pool *p;
            assert_non_null(t);
            assert_int_equal(aki__pool_open(&p, threads[k], NULL), AKI_OK);
            assert_true(aki__pool_acquire(p));
            assert_false(aki__pool_acquire(p));
            for (int round = 0; round < 50; round++)
                aki__pool_each(p, counts[c], count_one, t);
            aki__pool_release(p);
            aki__pool_close(p);
            for (size_t i = 0; i < 500; i++)
                assert_int_equal(t->done[i], i < counts[c] ? 50 : 0);
            assert_int_equal(t->sum, counts[c] ? 50 * (long)(counts[c] * (counts[c] - 1) / 2) : 0);
            aki__free(t);
        }
    }
}

static void test_pool_wakes_who_sleeps(void **state)
{
    struct tally *t = aki__zalloc(1, sizeof *t);
    struct aki__pool *p;

    (void)state;
    assert_non_null(t);
    t->slow = 20;
    assert_int_equal(aki__pool_open(&p, 3, NULL), AKI_OK);
    for (int round = 0; round < 500; round++) {
        assert_true(aki__pool_acquire(p));
        for (int each = 0; each < 3; each++)
            aki__pool_each(p, 4, count_one, t);
        aki__pool_release(p);
        if (round % 8 == 0)
            wait_awake();
    }
    aki__pool_close(p);
    assert_int_equal(t->sum, 1500 * 6);
    aki__free(t);
}

/* Who holds a lock is alone: threads that come in again and again never meet, and no count of theirs is lost. */
enum { CROWD = 8, VISITS = 20000 };

struct room {
    struct aki__lock *lock;
    atomic_int inside, met, waiting;
    struct aki__bell bell;
    atomic_bool opened;
    long       visits;          /* under lock */
};

static bool is_open(void *user) { return atomic_load(&((struct room *)user)->opened); }

static void visit(void *user)
{
    struct room *r = user;

    atomic_fetch_add(&r->waiting, 1);
    aki__bell_wait(&r->bell, is_open, r);
    for (int i = 0; i < VISITS; i++) {
        aki__lock_acquire(r->lock);
        if (atomic_fetch_add(&r->inside, 1))
            atomic_fetch_add(&r->met, 1);
        r->visits++;
        if (i % 64 == 0)
            aki__relax();
        atomic_fetch_sub(&r->inside, 1);
        aki__lock_release(r->lock);
    }
}

static void crowd_into(struct aki__lock *lock)
{
    struct aki__thread threads[CROWD];
    struct room *r = aki__zalloc(1, sizeof *r);

    assert_non_null(r);
    r->lock = lock;
    assert_true(aki__bell_open(&r->bell));
    for (int i = 0; i < CROWD; i++)
        assert_true(aki__thread_start(&threads[i], visit, r));
    while (atomic_load(&r->waiting) < CROWD)
        aki__relax();
    atomic_store(&r->opened, true);
    aki__bell_ring(&r->bell);
    for (int i = 0; i < CROWD; i++)
        aki__thread_join(&threads[i]);
    aki__bell_close(&r->bell);
    assert_int_equal(r->met, 0);
    assert_int_equal(r->visits, CROWD * (long)VISITS);
    aki__free(r);
}

static void test_a_zeroed_lock_keeps_threads_apart(void **state)
{
    static struct aki__lock fixed;
    struct aki__lock *allocated = aki__zalloc(1, sizeof *allocated);

    (void)state;
    assert_non_null(allocated);
    assert_int_equal(aki__locks_check(NULL), AKI_OK);
    crowd_into(&fixed);
    crowd_into(allocated);
    assert_int_equal(aki__locks_check(NULL), AKI_OK);
    aki__free(allocated);
}

struct asker { int error; const char *expected; atomic_int *wrong; };

static void ask_often(void *user)
{
    const struct asker *a = user;

    for (int i = 0; i < VISITS; i++)
        if (strcmp(aki__error_text(a->error), a->expected) != 0)
            atomic_fetch_add(a->wrong, 1);
}

static void test_error_texts_are_a_threads_own(void **state)
{
    static const int errors[] = { ENOENT, EACCES, ENOSPC, EIO };
    struct aki__thread threads[4];
    struct asker askers[4];
    char texts[4][128];
    atomic_int wrong = 0;

    (void)state;
    for (int i = 0; i < 4; i++) {
        snprintf(texts[i], sizeof texts[i], "%s", aki__error_text(errors[i]));
        askers[i] = (struct asker){ errors[i], texts[i], &wrong };
    }
    for (int i = 0; i < 4; i++)
        assert_true(aki__thread_start(&threads[i], ask_often, &askers[i]));
    for (int i = 0; i < 4; i++)
        aki__thread_join(&threads[i]);
    assert_int_equal(wrong, 0);
    assert_string_not_equal(texts[0], texts[1]);
}

#if !defined(_WIN32)
static _Thread_local int here;
static atomic_int handled_here, handled_elsewhere;

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(here ? &handled_here : &handled_elsewhere, 1);
}

struct guest { atomic_bool runs, ends; size_t stack; bool blocked, open; };

/* Uses most of a stack of 8 MiB, page by page. */
static void use_stack(struct guest *g)
{
    volatile char block[7 << 20];

    for (size_t i = 0; i < sizeof block; i += 1024)
        block[i] = (char)i;
    g->stack = sizeof block + (size_t)block[0];
}

static void be_a_guest(void *user)
{
    struct guest *g = user;
    sigset_t set;

    use_stack(g);
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    g->blocked = sigismember(&set, SIGTERM) && sigismember(&set, SIGINT) && sigismember(&set, SIGALRM) && sigismember(&set, SIGUSR1) &&
                 sigismember(&set, SIGCHLD) && sigismember(&set, SIGPIPE) && sigismember(&set, SIGHUP);
    g->open = !sigismember(&set, SIGSEGV) && !sigismember(&set, SIGBUS) && !sigismember(&set, SIGFPE) && !sigismember(&set, SIGILL);
    atomic_store(&g->runs, true);
    while (!atomic_load(&g->ends))
        aki__relax();
}

/* The host's handlers run on its own threads: a signal to the process finds these, also while the one that started ours has it blocked. */
static void test_threads_take_no_signals_of_the_host(void **state)
{
    struct sigaction action = { .sa_handler = on_signal }, before;
    struct aki__thread t;
    struct guest g = { .stack = 0 };
    sigset_t set, mask, mine;

    (void)state;
    here = 1;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGTERM, &action, &before), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_true(aki__thread_start(&t, be_a_guest, &g));
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    for (int number = 1; number < NSIG; number++)
        assert_int_equal(sigismember(&mine, number), sigismember(&mask, number));
    while (!atomic_load(&g.runs))
        aki__relax();
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 20; i++)
        kill(getpid(), SIGTERM);
    wait_awake();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    atomic_store(&g.ends, true);
    aki__thread_join(&t);
    assert_int_equal(sigaction(SIGTERM, &before, NULL), 0);
    assert_true(g.blocked);
    assert_true(g.open);
    assert_int_equal(handled_elsewhere, 0);
    assert_true(handled_here > 0);
    assert_true(g.stack >= 7 << 20);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_fills_the_error),
        cmocka_unit_test(test_fail_keeps_messages_clean),
        cmocka_unit_test(test_status_names),
        cmocka_unit_test(test_version_agrees_with_itself),
        cmocka_unit_test(test_sizes_are_checked),
        cmocka_unit_test(test_nothing_is_a_valid_size),
        cmocka_unit_test(test_realloc_keeps_the_block_on_failure),
        cmocka_unit_test(test_aligned_memory),
        cmocka_unit_test(test_buffers_stop_at_their_ceiling),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_utf8_round_trip_of_every_scalar),
        cmocka_unit_test(test_utf8_names_the_first_bad_byte),
        cmocka_unit_test(test_hash_depends_on_every_bit),
        cmocka_unit_test(test_hash_sees_the_size),
        cmocka_unit_test(test_every_half_float),
        cmocka_unit_test(test_half_floats_round_to_nearest_even),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test_setup_teardown(test_map_of_a_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_map_of_a_file_that_changes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_map_release_of_whole_pages, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_what_is_no_regular_file_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_names, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_file_replace, make_folder, remove_folder),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_cores_respect_the_affinity_mask),
#if defined(AKI_TEST_DARWIN_SYSCTL_H)
        cmocka_unit_test(test_kinds_of_cores),
#endif
        cmocka_unit_test(test_pool_does_each_once),
        cmocka_unit_test(test_pool_wakes_who_sleeps),
        cmocka_unit_test(test_a_zeroed_lock_keeps_threads_apart),
        cmocka_unit_test(test_error_texts_are_a_threads_own),
#if !defined(_WIN32)
        cmocka_unit_test(test_threads_take_no_signals_of_the_host),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
