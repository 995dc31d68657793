/* Unit device: opens the session on the requested device, but only if its vectors are right: a self-test compares those of
 * built-in texts with the CPU's in f32, or the stored figures of an earlier test are used (remember.h). Nothing falls back
 * silently. */
#include "engine/known.h"
#include "engine/remember.h"

#include "arch/arch.h"
#include "util/clock.h"
#include "util/names.h"

#include <math.h>
#include <stdio.h>

enum { MOST_PARTITIONS = 8, FIGURES = 200, TRIED = 200 };

/* Short and long texts in several scripts, one of them a single letter: faulty graphs fail on such differences. */
static const char *const test_texts[] = {
    "a", "How do I reset my password?", "The cat sleeps on the windowsill.", "Die Würde des Menschen ist unantastbar.", "机器学习模型需要大量的数据。",
    "Click on Forgot password, then follow the link in the message.", "Быстрая коричневая лиса", "0123456789 + 3.14159 = ?",
    ("Embedding models turn a text into a vector, so that texts of like meaning lie near each other; a search compares the vector of a question "
     "with those of many passages and answers with the nearest, however differently they are worded, which words alone could never do."),
};
enum { TEST_TEXTS = sizeof test_texts / sizeof *test_texts };

#define AGAIN "remembered: test_cache renew tests again"

/* What all self-tests of an open share. */
struct tester {
    aki_model               *m;
    const aki_model_options *o;
    struct aki__request      r;
    double                   bound;         /* least accepted cosine */
    float                   *wanted, *got;  /* [2 * TEST_TEXTS, r.columns] vectors of the CPU in f32, and of the device */
    bool                     ready;         /* `wanted` is computed: at the first test that needs it */
    bool                     known_ready;   /* and the vectors of m->known */
    uint64_t                 content;       /* aki__remember_model; 0: not computed yet */
};

/* ---------------------------------------------------------------- sessions -------------------------------------- */

/* What is behind the rows of an .onnx file. */
static aki_status build_behind_file(struct aki__graph *g, const struct aki__onnx_file *f)
{
    const int32_t hidden = aki__onnx_file_info(f)->hidden;

    if (hidden)
        aki__g_finish(g, aki__g_embed(g, &(struct aki__g_embed){ .columns = hidden }));
    return g->rc;
}

/* The vectors that the network gives are those that the folder's files tell of: buffers are made by these. */
static aki_status check_columns(struct aki__session **session, const aki_model *m, aki_error *err)
{
    struct aki__session_info info;

    aki__session_info(*session, &info);
    if (info.vectors == (size_t)m->folder->dim)
        return AKI_OK;
    aki__session_close(*session);
    *session = NULL;
    return aki__fail(err, AKI_E_INVALID, "%s: vectors of %d elements by its files, but the network gives %zu", m->folder->path, m->folder->dim, info.vectors);
}

/* device NULL: the CPU. */
static aki_status make_session(struct aki__session **out, aki_model *m, const aki_model_options *o,
                               const struct aki__device *device, int32_t precision, aki_error *err)
{
    const struct aki__session_options options = { .int8 = precision == AKI_PRECISION_INT8, .choice = m->choice, .bf16 = precision == AKI_PRECISION_BF16, .f16 = precision == AKI_PRECISION_F16,
                                                  .threads = o->threads, .device = device,
        .file = m->file, .max_buckets = o->max_buckets ? o->max_buckets : AKI_DEFAULT_BUCKETS,
        .max_tokens = (size_t)m->max_tokens, .max_batch_tokens = (size_t)m->max_batch_tokens };
    struct aki__graph g;

    aki__graph_init(&g, m->folder, err);
    const bool own = !m->file;
    aki_status rc = own ? aki__arch_build(&g, m->folder) : build_behind_file(&g, m->file);
    if (!rc) rc = aki__session_open(out, &g, &options, err);
    if (!rc)
        m->file = NULL;                     /* the session's */
    if (!rc && own)
        m->parameters = aki__graph_parameters(&g);
    if (!rc) rc = check_columns(out, m, err);
    aki__graph_free(&g);
    return rc;
}

/* ---------------------------------------------------------------- self-test ------------------------------------- */

/* Computes the vectors of the test texts begin … end - 1 with m->session, in one run. out: [end - begin, columns]. */
static aki_status run_texts(aki_model *m, const struct aki__request *r, size_t begin, size_t end, float *out, aki_error *err)
{
    struct aki__plan plan = { 0 };
    struct aki__encoding e = { 0 };
    aki_status rc = AKI_OK;

    for (size_t i = begin; i < end && !rc; i++) {
        rc = aki__tokenizer_encode(m->tokenizer, test_texts[i], strlen(test_texts[i]), &r->encode, &e, err);
        if (!rc) rc = aki__plan_add(&plan, m, r, &(struct aki__row){ .ids = e.ids, .count = e.count, .item = i }, err);
    }
    if (!rc) rc = aki__plan_run(&plan, m, r, err);
    if (!rc)
        memcpy(out, plan.out, (end - begin) * r->columns * sizeof *out);
    aki__plan_clear(&plan, m, rc == AKI_OK);
    aki__plan_free(&plan, m);
    aki__encoding_free(&e);
    return rc;
}

/* Runs all texts in one run, and then each in its own: out [2 * TEST_TEXTS, columns]. */
static aki_status run_test(aki_model *m, const struct aki__request *r, float *out, aki_error *err)
{
    aki_status rc = run_texts(m, r, 0, TEST_TEXTS, out, err);

    for (size_t i = 0; i < TEST_TEXTS && !rc; i++)
        rc = run_texts(m, r, i, i + 1, out + (TEST_TEXTS + i) * r->columns, err);
    return rc;
}

static void compare(struct aki__figures *f, const float *got, const float *wanted, size_t columns)
{
    f->cosine = 2;
    for (size_t i = 0; i < 2 * TEST_TEXTS; i++, got += columns, wanted += columns) {
        double a = 0, b = 0, ab = 0;
        for (size_t k = 0; k < columns; k++) {
            a += (double)got[k] * got[k];
            b += (double)wanted[k] * wanted[k];
            ab += (double)got[k] * wanted[k];
        }
        f->bad += !isfinite(a);
        f->zero += a == 0;
        double cosine = ab / sqrt(a * b);
        if (isfinite(a) && a > 0 && cosine < f->cosine)
            f->cosine = cosine;
    }
    if (f->cosine > 1.5)
        f->cosine = 0;                      /* there was no valid vector to compare */
}

/* Computes t->wanted on the CPU in f32; known: the vectors of m->known as well. */
static aki_status reference(struct tester *t, bool known, aki_error *err)
{
    aki_model *m = t->m;
    struct aki__session *own = m->session;

    known = known && !t->known_ready;
    if (t->ready && !known)
        return AKI_OK;
    m->session = NULL;
    aki_status rc = make_session(&m->session, m, t->o, NULL, AKI_PRECISION_F32, err);
    if (!rc && !t->ready) rc = run_test(m, &t->r, t->wanted, err);
    if (!rc && known) rc = aki__known_compute(m->known, m, &t->r, err);
    aki__session_close(m->session);
    m->session = own;
    t->ready = t->ready || rc == AKI_OK;
    t->known_ready = t->known_ready || (known && rc == AKI_OK);
    return rc;
}

/* Computes t->got with m->session, and measures the time for a text after a warm-up. */
static aki_status measure(struct tester *t, struct aki__figures *f, aki_error *err)
{
    aki_status rc = run_test(t->m, &t->r, t->got, err);
    double start = aki__seconds();

    for (size_t i = 0; i < TEST_TEXTS && !rc; i++)
        rc = run_texts(t->m, &t->r, i, i + 1, t->got + (TEST_TEXTS + i) * t->r.columns, err);
    f->seconds = (aki__seconds() - start) / TEST_TEXTS;
    return rc;
}

static void count_nodes(const aki_model *m, struct aki__figures *f)
{
    struct aki__session_info info;

    aki__session_info(m->session, &info);
    f->nodes = info.nodes;
    f->elsewhere = info.nodes_elsewhere;
    f->partitions = info.partitions;
}

static bool passes(const struct tester *t, const struct aki__figures *f)
{
    return !f->bad && !f->zero && f->cosine >= t->bound && f->nodes > f->elsewhere && f->partitions <= MOST_PARTITIONS;
}

static void say(char out[FIGURES], const struct tester *t, const struct aki__figures *f)
{
    char partitions[40] = "";

    if (f->partitions)
        snprintf(partitions, sizeof partitions, " in %d partition%s", f->partitions, f->partitions > 1 ? "s" : "");
    snprintf(out, FIGURES, "%d texts, least cosine %.7f (bound %g), %d vectors with NaN, %d of zeros; %d nodes on the device%s, %d on the cpu", TEST_TEXTS,
             f->cosine, t->bound, f->bad, f->zero, f->nodes, partitions, f->elsewhere);
}

/* Writes the figure that failed. */
static void say_fault(char *out, size_t size, const struct tester *t, const struct aki__figures *f)
{
    if (f->bad)
        snprintf(out, size, "%d NaN", f->bad);
    else if (f->zero)
        snprintf(out, size, "%d zeros", f->zero);
    else if (f->cosine < t->bound)
        snprintf(out, size, "cosine %.7f", f->cosine);
    else if (f->nodes <= f->elsewhere)
        snprintf(out, size, "%d of %d nodes on the cpu", f->elsewhere, f->nodes + f->elsewhere);
    else
        snprintf(out, size, "%d partitions", f->partitions);
}

/* Runs the self-test; *f are its figures. UNAVAILABLE: m->session cannot compute the texts. */
static aki_status self_test(struct tester *t, const struct aki__device *d, struct aki__figures *f, aki_error *err)
{
    aki_error own = { 0 };

    memset(f, 0, sizeof *f);
    aki_status rc = reference(t, aki__device_is_fixed(d), err);
    if (rc)
        return rc;
    rc = measure(t, f, &own);
    if (rc)
        return aki__fail(err, rc == AKI_E_NOMEM ? rc : AKI_E_UNAVAILABLE, "device \"%.40s\" failed its self-test: %.180s", d->name,
                         own.message);
    compare(f, t->got, t->wanted, t->r.columns);
    count_nodes(t->m, f);
    return AKI_OK;
}

/* ---------------------------------------------------------------- choosing -------------------------------------- */

static aki_status open_cpu(aki_model *m, const aki_model_options *o, aki_error *err)
{
    if (m->precision == AKI_PRECISION_F16 && !m->file)
        return aki__fail(err, AKI_E_UNSUPPORTED, "precision f16 is for other devices than the cpu");
    snprintf(m->device, sizeof m->device, "cpu");
    return make_session(&m->session, m, o, NULL, m->precision, err);
}

static aki_status refuse(const struct tester *t, const struct aki__device *d, const struct aki__figures *f, bool remembered,
                         aki_error *err)
{
    char figures[FIGURES];

    say(figures, t, f);
    return aki__fail(err, AKI_E_UNAVAILABLE, "device \"%.40s\" failed its self-test: %s%s", d->name, figures,
                     remembered ? " (" AGAIN ")" : "");
}

/* If the device passes, the node counts of its first session are stored, and the next open compares them with its own. Sessions
 * of other shapes may have fewer nodes. */
static void keep(const struct tester *t, const struct aki__device *d, const char *path, const struct aki__figures *f, const struct aki__figures *first)
{
    struct aki__figures kept = *f;
    size_t known_count = 0;
    const float *known = aki__device_is_fixed(d) ? aki__known_vectors(t->m->known, &known_count) : NULL;

    if (passes(t, f)) {
        kept.nodes = first->nodes;
        kept.elsewhere = first->elsewhere;
        kept.partitions = first->partitions;
    }
    aki__remember_write(path, &kept, known, known_count);
}

/* Opens m->session with one option set. Stored figures replace the test: bad ones need no session, and good ones are valid if
 * the new session has the same node counts. *f: zeroed if there are no figures; *remembered: the figures are stored ones. */
static aki_status open_set(struct tester *t, const struct aki__device *d, struct aki__figures *f, bool *remembered,
                           aki_error *err)
{
    aki_model *m = t->m;
    struct aki__figures now = { 0 };
    const bool fixed = aki__device_is_fixed(d);
    size_t known_count = 0;
    float *vectors = fixed ? aki__known_vectors(m->known, &known_count) : NULL;
    bool whole = false;
    char *path = NULL;

    if (t->o->test_cache != AKI_TEST_CACHE_OFF) {
        t->content = t->content ? t->content : aki__remember_model(m);
        path = aki__remember_path(m, t->content, d);
    }
    memset(f, 0, sizeof *f);
    const bool known = t->o->test_cache == AKI_TEST_CACHE_DEFAULT && aki__remember_read(path, 2 * TEST_TEXTS, f, vectors, known_count, &whole);
    if (known && fixed)
        t->known_ready = whole;
    *remembered = known && !passes(t, f);
    aki_status rc = *remembered ? refuse(t, d, f, true, err) : make_session(&m->session, m, t->o, d, m->precision, err);
    if (rc && !*remembered)
        memset(f, 0, sizeof *f);            /* stored figures */
    if (rc)
        goto done;
    count_nodes(m, &now);
    *remembered = known && whole && now.nodes == f->nodes && now.elsewhere == f->elsewhere && now.partitions == f->partitions;
    if (!*remembered) {
        rc = self_test(t, d, f, err);
        if (!rc) keep(t, d, path, f, &now);
        if (!rc && !passes(t, f)) rc = refuse(t, d, f, false, err);
    }
    if (!rc && fixed)
        aki__known_expect(m->known, m, t->bound);
    if (rc) {
        aki__session_close(m->session);
        m->session = NULL;
    }
done:
    aki__free(path);
    return rc;
}

/* Appends a refused option set and the reason. */
static void add_tried(char tried[TRIED], const struct tester *t, const char *set, const struct aki__figures *f,
                      const char *message)
{
    const char *reason = strstr(message, "ONNX Runtime: ");
    char fault[48];
    size_t at = strlen(tried);

    if (f->nodes + f->elsewhere)
        say_fault(fault, sizeof fault, t, f);
    else
        snprintf(fault, sizeof fault, "%.36s", reason ? reason + strlen("ONNX Runtime: ") : message);
    snprintf(tried + at, TRIED - at, "%s%s: %s", at ? "; " : "", set, fault);
}

static aki_status open_device(struct tester *t, const struct aki__device *device, struct aki__figures *f, aki_error *err)
{
    aki_model *m = t->m;
    const int sets = aki__device_sets(device);
    char tried[TRIED] = "", figures[FIGURES], set[80] = "";
    aki_error own = { 0 };
    bool remembered = false, any = false;
    aki_status rc = m->precision == AKI_PRECISION_F16 ? aki__device_check_f16(device, err) : AKI_OK;

    if (!rc && aki__device_is_fixed(device) && !m->known)
        rc = aki__known_open(&m->known, m, &t->r, test_texts[TEST_TEXTS - 1], err);
    if (rc)
        return rc;
    rc = AKI_E_UNAVAILABLE;
    for (int i = 0; i < sets && rc == AKI_E_UNAVAILABLE; i++) {
        struct aki__device d = *device;
        d.set = i;
        rc = open_set(t, &d, f, &remembered, &own);
        if (sets > 1)
            aki__device_set_name(&d, set, sizeof set);
        if (rc == AKI_E_UNAVAILABLE)
            add_tried(tried, t, set, f, own.message);
        any |= remembered;
    }
    if (rc == AKI_E_UNAVAILABLE && sets > 1)
        return aki__fail(err, rc, "device \"%.40s\" failed its self-test (bound %g%s): %s", device->name, t->bound,
                         any ? "; " AGAIN : "", tried);
    if (rc) {
        if (err)
            *err = own;
        return rc;
    }
    say(figures, t, f);
    snprintf(m->device, sizeof m->device, "%.63s", device->name);
    snprintf(m->note, sizeof m->note, "self-test: %s%s%s%s%s%.110s", figures, remembered ? " (" AGAIN ")" : "",
             set[0] ? "; options: " : "", set, tried[0] ? "; refused: " : "", tried);
    return AKI_OK;
}

/* The state of the search for "auto". */
struct best { struct aki__session *session; double seconds; char name[64], note[400]; };

static void keep_faster(aki_model *m, struct best *b, double time)
{
    if (!b->session || time < b->seconds) {
        aki__session_close(b->session);
        b->session = m->session;
        b->seconds = time;
        snprintf(b->name, sizeof b->name, "%s", m->device);
        snprintf(b->note, sizeof b->note, "%s", m->note);
    } else {
        aki__session_close(m->session);
    }
    m->session = NULL;
    m->note[0] = '\0';
}

/* Selects the fastest device that passes. The CPU is one of the candidates if it supports the precision. */
static aki_status open_fastest(struct tester *t, aki_error *err)
{
    aki_model *m = t->m;
    const aki_device *devices;
    size_t count = 0;
    struct aki__figures f = { 0 };
    struct best b = { 0 };
    char why[300] = "auto:";
    size_t at = strlen(why);

    aki_status rc = aki__devices(&devices, &count, err);
    if (!rc && m->precision == AKI_PRECISION_F32) {
        rc = open_cpu(m, t->o, err);
        if (!rc) rc = measure(t, &f, err);
        if (!rc) {
            at += (size_t)snprintf(why + at, sizeof why - at, " cpu %.2f ms a text", f.seconds * 1e3);
            keep_faster(m, &b, f.seconds);
        }
    }
    for (size_t i = 0; i < count && !rc; i++) {
        const struct aki__device d = { .name = devices[i].name };
        if (devices[i].reason || strcmp(d.name, "cpu") == 0 || strcmp(d.name, "portable") == 0)
            continue;
        bool passed = open_device(t, &d, &f, NULL) == AKI_OK;
        if (passed && f.seconds == 0 && measure(t, &f, NULL)) {     /* it passed earlier, but cannot compute now */
            aki__session_close(m->session);
            m->session = NULL;
            passed = false;
        }
        if (at < sizeof why)
            at += (size_t)(passed ? snprintf(why + at, sizeof why - at, ", %s %.2f ms", d.name, f.seconds * 1e3)
                                  : snprintf(why + at, sizeof why - at, ", %s failed", d.name));
        if (passed)
            keep_faster(m, &b, f.seconds);
    }
    if (!rc && !b.session)
        rc = aki__fail(err, AKI_E_UNAVAILABLE, "no device here passes the self-test (%.150s)", why);
    aki__session_close(m->session);         /* if the time could not be measured */
    m->session = b.session;
    snprintf(m->device, sizeof m->device, "%s", b.name);
    snprintf(m->note, sizeof m->note, "%.200s%s%.190s", why, b.note[0] ? "; " : "", b.note);
    return rc;
}

static aki_status open_tested(aki_model *m, const aki_model_options *o, aki_error *err)
{
    const struct aki__device d = { .name = o->device, .options = o->device_options, .option_count = o->device_option_count };
    const bool fastest = strcmp(o->device, "auto") == 0;
    const bool scores = m->folder->labels.count > 0;        /* of one or few numbers a cosine tells nothing */
    struct tester t = { .m = m, .o = o, .bound = m->precision == AKI_PRECISION_F16 ? 0.9999 : 0.99999,
                        .r = { .pooling = m->folder->pooling, .columns = (size_t)(scores ? m->folder->hidden : m->folder->dim), .hidden = scores,
                               .encode = { .special = true, .parse_special = true, .max_tokens = (size_t)m->max_tokens } } };
    struct aki__figures f;

    t.wanted = aki__alloc(2 * 2 * TEST_TEXTS, t.r.columns * sizeof *t.wanted);
    aki_status rc = t.wanted ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "self-test");
    if (!rc)
        t.got = t.wanted + 2 * TEST_TEXTS * t.r.columns;
    if (!rc && fastest && d.option_count)
        rc = aki__fail(err, AKI_E_INVALID, "device options are for a device by name, not for \"auto\"");
    if (!rc && !fastest) rc = aki__device_check(&d, err);
    if (!rc && m->precision != AKI_PRECISION_F32 && m->precision != AKI_PRECISION_F16)
        rc = aki__fail(err, AKI_E_UNSUPPORTED, "device \"%.40s\" computes in f32 or f16; %s is for the cpu", o->device, aki__precision_name(m->precision));
    if (!rc) rc = fastest ? open_fastest(&t, err) : open_device(&t, &d, &f, err);
    aki__free(t.wanted);
    m->tokens = m->tokens_reused = 0;
    return rc;
}

aki_status aki__open_session(aki_model *m, const aki_model_options *o, aki_error *err)
{
    aki_error own = { 0 };
    const bool cpu = !o->device || strcmp(o->device, "cpu") == 0;
    aki_status rc = o->device_plugin ? aki__device_plugin(o->device_plugin, &own) : AKI_OK;

    if (!rc && cpu && o->device_option_count)
        rc = aki__fail(&own, AKI_E_UNAVAILABLE, "device \"cpu\" takes no options (\"%.60s\")", o->device_options[0]);
    if (!rc && !cpu && m->file)
        rc = aki__fail(&own, AKI_E_UNSUPPORTED,
                       "device \"%.40s\": an .onnx file is computed on the cpu; devices are for safetensors", o->device);
    if (!rc)
        rc = cpu ? open_cpu(m, o, &own) : open_tested(m, o, &own);
    if (rc && !cpu && o->device_fallback && (rc == AKI_E_UNAVAILABLE || rc == AKI_E_UNSUPPORTED)) {
        snprintf(m->note, sizeof m->note, "%s", own.message);
        m->fell_back = true;
        if (m->precision == AKI_PRECISION_F16 && !m->file)
            m->precision = AKI_PRECISION_F32;
        rc = open_cpu(m, o, &own);
    }
    if (rc) {
        if (err)
            *err = own;
        return rc;
    }
    /* Devices do not use the prefix cache: the keys and values of every layer would have to be passed to them. */
    bool cached = o->prefix_cache_mb >= 0 && m->folder->causal && !m->folder->onnx && strcmp(m->device, "cpu") == 0;
    size_t mib = !cached ? 0 : o->prefix_cache_mb ? (size_t)o->prefix_cache_mb : AKI_DEFAULT_PREFIX_MIB;
    aki__prefix_init(&m->prefixes, (size_t)m->folder->layers, (size_t)m->folder->kv_heads * (size_t)m->folder->head_dim, mib << 20);
    aki__session_info(m->session, &m->run);
    return AKI_OK;
}
