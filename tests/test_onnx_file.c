/* Tests of .onnx folders whose runs go side by side, each on a thread of its own: the vectors are the model's, whoever calls; the callback
 * for cancelling; a run that fails; a file that was replaced, or is gone, by the time its second copy is wanted; children after fork. */
#include "golden.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER AKI_BINARY_DIR "/onnx-file"

enum { TEXTS = 120, DIM = 48, CALLERS = 4, WORDS = 8 };

static const char *const words[WORDS] = { "cat", "river", "house", "the", "mountain", "query", "city", "in" };
static char              texts[TEXTS][400];
static const char       *pointers[TEXTS];
static float             expected[TEXTS * DIM];

static void export_to(const char *checkpoint, const char *file)
{
    char from[512];
    aki_error e = { 0 };

    snprintf(from, sizeof from, CHECKPOINTS "%s", checkpoint);
    if (aki_export(from, file, NULL, &e))
        fail_msg("%s: %s", checkpoint, e.message);
}

static aki_model *open_with(const char *folder, int32_t threads)
{
    aki_model_options o;
    aki_model *m = NULL;
    aki_error e = { 0 };

    aki_model_options_init(&o, sizeof o);
    o.threads = threads;
    if (aki_model_open(folder, &o, &m, &e))
        fail_msg("%s: %s", folder, e.message);
    return m;
}

/* The checkpoint's folder with its network as a file; texts of one to forty words, some of equal lengths, in no order, and their vectors. */
static int make(void **state)
{
    (void)state;
    if (system("rm -rf '" FOLDER "' && cp -r '" CHECKPOINTS "bert' '" FOLDER "' && rm '" FOLDER "'/*.safetensors"))
        return -1;
    export_to("bert", FOLDER "/model.onnx");
    for (size_t i = 0; i < TEXTS; i++) {
        for (size_t k = 0, at = 0; k <= i * 7 % 40; k++)
            at += (size_t)snprintf(texts[i] + at, sizeof texts[i] - at, "%s%s", k ? " " : "", words[(i + i / 40 + k * k) % WORDS]);
        pointers[i] = texts[i];
    }
    aki_model *m = open_with(CHECKPOINTS "bert", 3);
    aki_status rc = aki_embed(m, pointers, NULL, TEXTS, NULL, expected, sizeof expected, NULL, NULL, NULL);
    aki_model_close(m);
    return rc ? -1 : 0;
}

static size_t count_wrong(const float *v, size_t first, size_t count)
{
    size_t wrong = 0;

    for (size_t i = 0; i < count * DIM; i++)
        wrong += !(fabsf(v[i] - expected[first * DIM + i]) < 2e-5f);
    return wrong;
}

static void check_all(aki_model *m, const aki_embed_options *o)
{
    static float v[TEXTS * DIM];
    aki_error e = { 0 };

    memset(v, 0, sizeof v);
    if (aki_embed(m, pointers, NULL, TEXTS, o, v, sizeof v, NULL, NULL, &e))
        fail_msg("%s", e.message);
    assert_int_equal(count_wrong(v, 0, TEXTS), 0);
}

/* ---------------------------------------------------------------- callers --------------------------------------- */

struct caller { aki_model *m; size_t first, wrong; };

/* One text, all, one …: lone runs and those side by side, of several callers at once. */
static void *call(void *user)
{
    float *v = calloc(TEXTS, DIM * sizeof *v);
    struct caller *c = user;

    for (size_t i = 0; i < 6; i++) {
        size_t first = i % 2 ? 0 : c->first + i, count = i % 2 ? TEXTS : 1;
        if (aki_embed(c->m, pointers + first, NULL, count, NULL, v, count * DIM * sizeof *v, NULL, NULL, NULL))
            c->wrong++;
        c->wrong += count_wrong(v, first, count);
    }
    free(v);
    return NULL;
}

static void test_callers(void **state)
{
    struct caller callers[CALLERS];
    pthread_t threads[CALLERS];
    (void)state;

    aki_model *m = open_with(FOLDER, 3);
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){ .m = m, .first = i * 20 };
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].wrong, 0);
    }
    aki_model_close(m);
}

/* ---------------------------------------------------------------- ends ------------------------------------------ */

struct asked { pthread_t caller; atomic_int count, elsewhere; int most; };

static int ask(void *user)
{
    struct asked *a = user;

    if (!pthread_equal(pthread_self(), a->caller))
        atomic_fetch_add(&a->elsewhere, 1);
    return atomic_fetch_add(&a->count, 1) >= a->most;
}

static void test_cancel(void **state)
{
    static float v[TEXTS * DIM];
    struct asked a = { .caller = pthread_self() };
    aki_embed_options o;
    aki_error e = { 0 };
    (void)state;

    aki_model *m = open_with(FOLDER, 3);
    aki_embed_options_init(&o, sizeof o);
    o.cancel = ask;
    o.cancel_user = &a;
    for (a.most = 0; a.most < 3; a.most++) {
        atomic_store(&a.count, 0);
        aki_status rc = aki_embed(m, pointers, NULL, TEXTS, &o, v, sizeof v, NULL, NULL, &e);
        /* The others may have done all runs before this thread came to ask again. */
        assert_int_equal(rc, atomic_load(&a.count) > a.most ? AKI_E_CANCELLED : AKI_OK);
        assert_true(rc || a.most);
    }
    a.most = TEXTS * TEXTS;
    check_all(m, &o);
    assert_int_equal(atomic_load(&a.elsewhere), 0);
    aki_model_close(m);
}

/* config.json says more rows than the file's table has: the run that meets such an id fails, with all beside it, and the next call does not. */
static void test_failure(void **state)
{
    enum { LONG = 30 };
    static int32_t ids[TEXTS * LONG];
    static float v[TEXTS * DIM];
    int64_t starts[TEXTS + 1];
    aki_error e = { 0 };
    (void)state;

    assert_int_equal(system("rm -rf '" FOLDER "-rows' && cp -r '" FOLDER "' '" FOLDER "-rows' && LC_ALL=C sed -i 's/\"vocab_size\": /\"vocab_size\": 9/' '" FOLDER "-rows/config.json'"), 0);
    aki_model *m = open_with(FOLDER "-rows", 3);
    for (size_t i = 0; i <= TEXTS; i++)
        starts[i] = (int64_t)(i * LONG);
    for (size_t i = 0; i < TEXTS * LONG; i++)
        ids[i] = 5 + (int32_t)i % 50;
    ids[77 * LONG + 3] = 9001;
    for (int turn = 0; turn < 3; turn++) {
        assert_int_equal(aki_embed_ids(m, ids, starts, TEXTS, NULL, v, sizeof v, &e), AKI_E_INTERNAL);
        assert_non_null(strstr(e.message, "model.onnx"));
        check_all(m, NULL);
    }
    aki_model_close(m);
}

static void test_replaced(void **state)
{
    static const char other[] = FOLDER "-other.onnx";
    (void)state;

    export_to("bert-sqrtlen", other);           /* of the same sizes, with other weights */
    for (int gone = 0; gone < 2; gone++) {
        aki_model *m = open_with(FOLDER, 3);
        assert_int_equal(system(gone ? "rm '" FOLDER "/model.onnx'" : "mv '" FOLDER "/model.onnx' '" FOLDER "/kept' && mv '" FOLDER "-other.onnx' '" FOLDER "/model.onnx'"), 0);
        check_all(m, NULL);
        check_all(m, NULL);
        aki_model_close(m);
        assert_int_equal(system("mv -f '" FOLDER "/kept' '" FOLDER "/model.onnx' && cp '" FOLDER "/model.onnx' '" FOLDER "/kept'"), 0);
    }
}

/* All that a host may call, from a thread that has no more than macOS gives to threads: 512 KiB. */
static void *call_on_little_stack(void *user)
{
    static const char *const folders[] = { CHECKPOINTS "bert", CHECKPOINTS "qwen3", FOLDER };
    aki_model_options o;
    aki_error *e = user;
    const aki_device *devices;
    size_t count;
    float v[DIM * 8];

    aki_model_options_init(&o, sizeof o);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        aki_model *m = NULL;
        aki_model_info info;
        o.threads = 3;
        o.device = i == 0 ? "portable" : NULL;
        aki_model_info_init(&info, sizeof info);
        aki_status rc = aki_model_open(folders[i], &o, &m, e);
        if (!rc) rc = aki_model_get_info(m, &info, e);
        if (!rc && info.dim <= DIM * 4) rc = aki_embed(m, pointers, NULL, 2, NULL, v, 2 * (size_t)info.dim * sizeof *v, NULL, NULL, e);
        aki_model_close(m);
        if (rc)
            return user;
    }
    if (system("rm -rf '" FOLDER "-int8'") || aki_quantize(CHECKPOINTS "bert", FOLDER "-int8", e) || aki_export(CHECKPOINTS "qwen3", FOLDER "/little.onnx", NULL, e) ||
        aki_devices(&devices, &count, e))
        return user;
    remove(FOLDER "/little.onnx");
    return NULL;
}

static void test_little_stack(void **state)
{
    pthread_attr_t attributes;
    pthread_t thread;
    aki_error e = { 0 };
    void *failed;

    (void)state;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, 512 << 10), 0);
    assert_int_equal(pthread_create(&thread, &attributes, call_on_little_stack, &e), 0);
    pthread_attr_destroy(&attributes);
    assert_int_equal(pthread_join(thread, &failed), 0);
    if (failed)
        fail_msg("%s", e.message);
}

/* A child computes with its parent's model, closes it and leaves: no waiting for threads that it does not have. */
static void test_fork(void **state)
{
    static const char *const folders[] = { CHECKPOINTS "bert", FOLDER };
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        aki_model *m = open_with(folders[i], 3);
        int status = -1;
        check_all(m, NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (!child) {
            float v[DIM];
            alarm(60);
            bool ok = !aki_embed(m, pointers + 7, NULL, 1, NULL, v, sizeof v, NULL, NULL, NULL) && !count_wrong(v, 7, 1);
            aki_model_close(m);
            _exit(ok ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        check_all(m, NULL);
        aki_model_close(m);
    }
}

#if defined(__linux__)
/* Of the process's threads other than this one, how many there are, and how many have SIGTERM and SIGINT open. */
static void count_open(int *threads, int *open)
{
    DIR *d = opendir("/proc/self/task");

    *threads = *open = 0;
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        char path[320], line[256];
        unsigned long long blocked = 0;
        const unsigned long long both = 1ull << (SIGTERM - 1) | 1ull << (SIGINT - 1);
        if (e->d_name[0] == '.' || strtol(e->d_name, NULL, 10) == (long)getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof line, f))
            if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
                break;
        if (!f)
            continue;
        fclose(f);
        ++*threads;
        *open += (blocked & both) != both;
    }
    closedir(d);
}

/* Neither the library's threads nor those of ONNX Runtime's sessions run a handler of the host's. */
static void test_signals(void **state)
{
    static const char *const folders[] = { CHECKPOINTS "bert", FOLDER };
    int before, threads, open;

    (void)state;
    count_open(&before, &open);
    assert_int_equal(open, 0);
    for (size_t i = 0; i < 2; i++) {
        aki_model *m = open_with(folders[i], 3);
        check_all(m, NULL);
        count_open(&threads, &open);
        assert_true(threads >= before + 2);
        assert_int_equal(open, 0);
        aki_model_close(m);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_callers), cmocka_unit_test(test_cancel), cmocka_unit_test(test_failure), cmocka_unit_test(test_replaced),
                                        cmocka_unit_test(test_fork), cmocka_unit_test(test_little_stack),
#if defined(__linux__)
                                        cmocka_unit_test(test_signals),
#endif
    };

    return cmocka_run_group_tests(tests, make, NULL);
}
