/* Tests of aki_quantize and of folders it wrote: the same bits as int8 of the original; folders that were tampered with; failures that leave
 * nothing behind. Threads and the program's side of it: tests/test_cli_check.py. The format itself: tests/test_quantised_folder.py. */
#include "golden.h"

#include "util/verify_texts.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_DIM = 256, MOST_CASES = 64 };

static const char *const checkpoints[] = { "bert", "bert-plain", "bert-dense", "bert-relu-mean", "bert-sqrtlen", "bert-tanh-max-f16", "camembert", "roberta",
                                           "xlmr", "xlmr-no-prompt", "qwen3", "qwen3-bias", "qwen3-bidirectional", "qwen3-weightedmean", "qwen3-window",
                                           "bert-outliers", "qwen3-outliers", "qwen3-extreme" };
enum { CHECKPOINT_COUNT = sizeof checkpoints / sizeof *checkpoints };

static char work[512];          /* a folder of this run */

static void path_of(char *out, size_t size, const char *name) { snprintf(out, size, "%s/%s", work, name); }

static void run(const char *format, ...)
{
    char command[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    if (system(command))
        fail_msg("%s", command);
}

static void quantize(const char *name, const char *out)
{
    char source[512];
    aki_error e = { 0 };

    snprintf(source, sizeof source, CHECKPOINTS "%s", name);
    if (aki_quantize(source, out, &e))
        fail_msg("%s: %s", name, e.message);
}

/* A file in memory; the header's JSON of model.safetensors is text from byte 8 on. */
struct file { char path[700], *data; size_t size; };

static void file_read(struct file *f, const char *folder, const char *name)
{
    snprintf(f->path, sizeof f->path, "%s/%s", folder, name);
    FILE *in = fopen(f->path, "rb");
    assert_non_null(in);
    fseek(in, 0, SEEK_END);
    f->size = (size_t)ftell(in);
    rewind(in);
    f->data = malloc(f->size + 1);
    assert_non_null(f->data);
    assert_int_equal(fread(f->data, 1, f->size, in), f->size);
    f->data[f->size] = '\0';
    fclose(in);
}

/* The weights of `folder`, which becomes a copy of `good`. */
static void file_of_copy(struct file *f, const char *folder, const char *good)
{
    run("rm -rf '%s' && cp -r '%s' '%s'", folder, good, folder);
    file_read(f, folder, "model.safetensors");
}

static void file_write(struct file *f)
{
    FILE *out = fopen(f->path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(f->data, 1, f->size, out), f->size);
    assert_int_equal(fclose(out), 0);
    free(f->data);
}

/* Text behind `key` in the file becomes one of the same length. */
static void replace(const struct file *f, const char *key, const char *from, const char *to)
{
    char *k = memmem(f->data, f->size, key, strlen(key));
    char *at = k ? memmem(k, f->size - (size_t)(k - f->data), from, strlen(from)) : NULL;

    assert_int_equal(strlen(from), strlen(to));
    if (!at)
        fail_msg("%s: no %s behind %s", f->path, from, key);
    memcpy(at, to, strlen(to));
}

/* Where the data of the tensor with that name begins. */
static char *data_of(const struct file *f, const char *name)
{
    uint64_t header = 0;
    unsigned long long begin = 0;
    char *at = memmem(f->data, f->size, name, strlen(name));

    for (int i = 0; i < 8; i++)
        header |= (uint64_t)(unsigned char)f->data[i] << (8 * i);
    at = at ? strstr(at, "\"data_offsets\":[") : NULL;
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"data_offsets\":[%llu", &begin), 1);
    assert_true(8 + header + begin + 4 <= f->size);
    return f->data + 8 + header + begin;
}

/* ---------------------------------------------------------------- the same bits --------------------------------- */

static size_t embed_cases(aki_model *m, const struct golden *g, float *out)
{
    size_t count = 0;

    for (size_t i = 0; i < g->count; i++) {
        struct golden_case c = golden_at(g, i);
        aki_embed_options o = golden_options(&c);
        aki_error e = { 0 };
        if (!c.vector)
            continue;
        if (aki_embed(m, &c.text, &c.size, 1, &o, out + count * g->dim, g->dim * sizeof *out, NULL, NULL, &e))
            fail_msg("case %zu: %s", i, e.message);
        count++;
    }
    return count;
}

static void test_same_bits(void **state)
{
    (void)state;
    for (size_t k = 0; k < CHECKPOINT_COUNT; k++) {
        static float ours[MOST_CASES * MOST_DIM], theirs[MOST_CASES * MOST_DIM];
        char source[512], out[600];
        struct golden g;
        aki_model_info info;
        aki_error e = { 0 };

        snprintf(source, sizeof source, CHECKPOINTS "%s", checkpoints[k]);
        path_of(out, sizeof out, checkpoints[k]);
        quantize(checkpoints[k], out);
        aki_model *a = open_model(source, AKI_PRECISION_INT8), *b = open_model(out, AKI_PRECISION_DEFAULT);
        aki_model_info_init(&info, sizeof info);
        assert_int_equal(aki_model_get_info(a, &info, &e), AKI_OK);
        int64_t parameters = info.parameters;
        assert_int_equal(aki_model_get_info(b, &info, &e), AKI_OK);
        assert_int_equal(info.precision, AKI_PRECISION_INT8);
        assert_int_equal(info.parameters, parameters);
        golden_open(&g, checkpoints[k]);
        assert_true(g.count <= MOST_CASES && g.dim <= MOST_DIM);
        size_t count = embed_cases(a, &g, theirs);
        assert_true(count > 5);
        assert_int_equal(embed_cases(b, &g, ours), count);
        for (size_t i = 0; i < count; i++)
            if (memcmp(ours + i * g.dim, theirs + i * g.dim, g.dim * sizeof *ours))
                fail_msg("%s: vector %zu has other bits", checkpoints[k], i);
        golden_close(&g);
        aki_model_close(a);
        aki_model_close(b);
    }
}

/* ---------------------------------------------------------------- what stays f32 -------------------------------- */

/* Times 2^power in a bf16 tensor: `count` rows (column -1) or columns (row -1) from one on. */
static void plant_some(const struct file *f, const char *tensor, size_t rows, size_t width, int row, int column, int count, int power)
{
    char *data = data_of(f, tensor);

    for (size_t i = 0; i < rows * width; i++) {
        uint16_t bits;
        int r = (int)(i / width), c = (int)(i % width);
        if ((row >= 0 && (r < row || r >= row + count)) || (column >= 0 && (c < column || c >= column + count)))
            continue;
        memcpy(&bits, data + 2 * i, 2);
        if (bits & 0x7F80)
            bits = (uint16_t)(bits + power * 128);
        memcpy(data + 2 * i, &bits, 2);
    }
}

static void plant(const struct file *f, const char *tensor, size_t rows, size_t width, int row, int column, int power)
{
    plant_some(f, tensor, rows, width, row, column, 1, power);
}

/* Multiply-adds of a token in the 13 products: query, key and value of 48 inputs and 96, 32 and 32 outputs (the last layer's query by itself), output,
 * gate and up, down. The first products_f32 of them are f32; the others may have outliers, of 16 inputs at most. */
static void check_share(const aki_model_info *info)
{
    static const double sizes[13] = { 48 * 160, 96 * 48, 48 * 160, 80 * 48, 48 * 160, 96 * 48, 48 * 160, 80 * 48, 48 * 96, 48 * 64, 96 * 48, 48 * 160, 80 * 48 };
    double all = 0, f32 = 0;
    char note[96];

    for (int i = 0; i < 13; i++) {
        all += sizes[i];
        f32 += i < info->products_f32 ? sizes[i] : 0;
    }
    assert_true(info->f32_share >= f32 / all - 1e-9 && info->f32_share <= f32 / all + (info->products_f32 ? 0.02 : 0.1));
    snprintf(note, sizeof note, "f32 in %d of 13 products, ", info->products_f32);
    assert_int_equal(info->precision_note != NULL, info->products_f32 > 0);
    assert_true(!info->precision_note || !strncmp(info->precision_note, note, strlen(note)));
    assert_int_equal(info->precision_advice != NULL, info->products_f32 && info->f32_share > 0.25);
}

/* Of the 13 products of three layers, the last with queries of their own, those stay f32 that stand before an extreme row or column, or have it. */
static void test_extremes(void **state)
{
#define L(layer, part) "\"layers." #layer "." part ".weight\""
    static const struct { const char *tensor; size_t rows, width; int row, column, power; const char *undo; size_t undo_rows, undo_width; int f32, count; } rows[] = {
        { L(1, "mlp.down_proj"), 48, 80, 7, -1, 10, NULL, 0, 0, 8, 1 },
        { L(1, "mlp.down_proj"), 48, 80, -1, 7, 10, NULL, 0, 0, 8, 1 },
        { L(1, "mlp.down_proj"), 48, 80, 7, -1, 7, NULL, 0, 0, 8, 1 },             /* 128 times */
        { L(1, "mlp.down_proj"), 48, 80, 7, -1, 3, NULL, 0, 0, 0, 1 },             /* 8 times: nothing */
        { L(1, "mlp.down_proj"), 48, 80, -1, 7, 3, NULL, 0, 0, 0, 1 },
        /* so many that they are not small together, however large they are */
        { L(1, "mlp.down_proj"), 48, 80, 7, -1, 7, NULL, 0, 0, 0, 20 },
        { L(1, "mlp.down_proj"), 48, 80, -1, 7, 7, NULL, 0, 0, 0, 30 },
        { L(1, "mlp.down_proj"), 48, 80, -1, 7, 7, NULL, 0, 0, 8, 4 },
        { L(1, "self_attn.o_proj"), 48, 96, 7, -1, 10, NULL, 0, 0, 6, 1 },
        { L(1, "self_attn.v_proj"), 32, 48, 7, -1, 10, NULL, 0, 0, 6, 1 },
        { L(0, "mlp.up_proj"), 80, 48, 7, -1, 10, NULL, 0, 0, 4, 1 },
        { L(0, "mlp.gate_proj"), 80, 48, -1, 7, 10, NULL, 0, 0, 3, 1 },
        { L(0, "self_attn.q_proj"), 96, 48, -1, 7, 10, NULL, 0, 0, 1, 1 },
        { L(2, "self_attn.k_proj"), 32, 48, -1, 7, 10, NULL, 0, 0, 10, 1 },
        { L(2, "mlp.down_proj"), 48, 80, 7, -1, 10, NULL, 0, 0, 13, 1 },
        /* the other side undoes it */
        { L(0, "mlp.up_proj"), 80, 48, 7, -1, 10, L(0, "mlp.down_proj"), 48, 80, 0, 1 },
        { L(0, "input_layernorm"), 1, 48, -1, 7, 10, NULL, 0, 0, 0, 1 },
        { "\"embed_tokens.weight\"", 479, 48, -1, 7, 10, NULL, 0, 0, 0, 1 },
    };
    char folder[600], out[600];
    (void)state;

    path_of(folder, sizeof folder, "planted");
    path_of(out, sizeof out, "planted quantised");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aki_model_info info;
        aki_error e = { 0 };
        struct file f;
        run("rm -rf '%s' '%s' && cp -r '" CHECKPOINTS "qwen3-window' '%s'", folder, out, folder);
        file_read(&f, folder, "model.safetensors");
        plant_some(&f, rows[i].tensor, rows[i].rows, rows[i].width, rows[i].row, rows[i].column, rows[i].count, rows[i].power);
        if (rows[i].undo)
            plant(&f, rows[i].undo, rows[i].undo_rows, rows[i].undo_width, -1, rows[i].row, -rows[i].power);
        file_write(&f);
        assert_int_equal(aki_quantize(folder, out, &e), AKI_OK);
        for (int stored = 0; stored < 2; stored++) {
            aki_model *m = open_model(stored ? out : folder, AKI_PRECISION_INT8);
            aki_model_info_init(&info, sizeof info);
            assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
            if (info.products != 13 || info.products_f32 != rows[i].f32)
                fail_msg("row %zu, %s: %d of %d products are f32, not %d of 13", i, rows[i].tensor, info.products_f32, info.products, rows[i].f32);
            check_share(&info);
            aki_model_close(m);
        }
    }
}

static bool mostly_unknown(const aki_model *m, const char *text)
{
    int32_t ids[512];
    size_t count = 0, unknown = 0;
    aki_embed_options o;

    aki_embed_options_init(&o, sizeof o);
    o.no_special = 1;
    o.prompt = "";
    assert_int_equal(aki_tokenize(m, text, strlen(text), &o, ids, NULL, 512, &count, NULL), AKI_OK);
    for (size_t i = 0; i < count; i++) {
        const char *piece = aki_token_piece(m, ids[i], NULL);
        unknown += piece && !strncmp(piece, "[UNK]", 5);
    }
    return 2 * unknown >= count;
}

struct told { int count, good, fewest, cancel_at; };

static int tell(void *user, const aki_quantize_trial *trial)
{
    struct told *t = user;

    assert_int_equal(trial->number, ++t->count);
    assert_true(trial->products_f32 >= 0 && trial->products_f32 <= trial->products);
    assert_int_equal(trial->good, trial->cosine_least >= 0.9991);
    if (trial->good && (!t->good++ || trial->products_f32 < t->fewest))
        t->fewest = trial->products_f32;
    return t->count == t->cancel_at;
}

/* The vectors of the built-in texts and of these keep the bound, with the fewest of the trials' products in f32. That one more product in int8
 * would not is what the trials before said. */
static void test_measured(void **state)
{
    static const char *const names[] = { "bert", "qwen3", "qwen3-extreme", "bert-dense" }, *const texts[] = { "a cat", "The cat sat on the mat.", "" };
    char source[512], out[600];
    (void)state;

    for (size_t k = 0; k < 4; k++) {
        static float a[512], b[512];
        struct told told = { 0 };
        aki_quantize_options o;
        aki_error e = { 0 };
        aki_model_info info;
        snprintf(source, sizeof source, CHECKPOINTS "%s", names[k]);
        path_of(out, sizeof out, "measured");
        run("rm -rf '%s'", out);
        aki_quantize_options_init(&o, sizeof o);
        o.texts = texts;
        o.text_count = 3;
        o.tell = tell;
        o.tell_user = &told;
        if (aki_quantize_measured(source, out, &o, &e))
            fail_msg("%s: %s", names[k], e.message);
        aki_model *f32 = open_model(source, AKI_PRECISION_F32), *m = open_model(out, AKI_PRECISION_DEFAULT);
        aki_model_info_init(&info, sizeof info);
        assert_int_equal(aki_model_get_info(m, &info, &e), AKI_OK);
        assert_true(told.count <= 64 && told.good);
        assert_int_equal(info.products_f32, told.fewest);
        assert_true(info.products_f32 < info.products);
        for (size_t i = 0; i < aki__verify_text_count + 2; i++) {
            const char *text = i < 2 ? texts[i] : aki__verify_texts[i - 2];
            float cosine;
            aki_embed_options plain;
            aki_embed_options_init(&plain, sizeof plain);
            assert_int_equal(aki_embed(f32, &text, NULL, 1, &plain, a, sizeof a, NULL, NULL, &e), AKI_OK);
            assert_int_equal(aki_embed(m, &text, NULL, 1, &plain, b, sizeof b, NULL, NULL, &e), AKI_OK);
            aki_similarity(a, 1, b, 1, (size_t)info.dim, &cosine);
            if (cosine < 0.999f && !mostly_unknown(m, text))
                fail_msg("%s: text %zu has a cosine of %.6f", names[k], i, (double)cosine);
        }
        aki_model_close(f32);
        aki_model_close(m);
    }
}

static void test_measured_fails(void **state)
{
    const char *bad[] = { "a cat", "a \xff" };
    struct told told = { .cancel_at = 1 };
    char nan[600], command[2000];
    aki_quantize_options o;
    aki_error e = { 0 };
    char out[600];
    (void)state;

    path_of(out, sizeof out, "measured badly");
    aki_quantize_options_init(&o, sizeof o);
    o.tell = tell;
    o.tell_user = &told;
    assert_int_equal(aki_quantize_measured(CHECKPOINTS "bert", out, &o, &e), AKI_E_CANCELLED);
    assert_int_equal(told.count, 1);
    assert_int_not_equal(access(out, F_OK), 0);
    o.tell = NULL;
    o.texts = bad;
    o.text_count = 2;
    assert_int_equal(aki_quantize_measured(CHECKPOINTS "bert", out, &o, &e), AKI_E_INVALID);
    assert_int_equal(e.item, 1);
    bad[1] = NULL;
    assert_int_equal(aki_quantize_measured(CHECKPOINTS "bert", out, &o, &e), AKI_E_INVALID);
    assert_int_equal(e.item, 1);
    /* A text that is built in has no index among the caller's. */
    bad[1] = "a dog";
    path_of(nan, sizeof nan, "nan");
    snprintf(command, sizeof command, "cp -r '" CHECKPOINTS "qwen3' '%s' && cd '%s' && truncate -s -2 model.safetensors && printf '\\377\\377' >> model.safetensors",
             nan, nan);
    assert_int_equal(system(command), 0);
    assert_int_equal(aki_quantize_measured(nan, out, &o, &e), AKI_E_INVALID);
    assert_int_equal(e.item, -1);
    o.texts = NULL;
    assert_int_equal(aki_quantize_measured(CHECKPOINTS "bert", out, &o, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "text_count 2"));
    o.struct_size = 0;
    assert_int_equal(aki_quantize_measured(CHECKPOINTS "bert", out, &o, &e), AKI_E_INVALID);
    assert_int_not_equal(access(out, F_OK), 0);
}

static void test_what_it_refuses(void **state)
{
    char out[600], again[600];
    aki_model_options o;
    aki_model *m = NULL;
    aki_error e = { 0 };
    (void)state;

    path_of(out, sizeof out, "refuses");
    path_of(again, sizeof again, "again");
    quantize("bert", out);
    assert_int_equal(aki_quantize(out, again, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "quantised already"));
    assert_int_not_equal(access(again, F_OK), 0);
    assert_int_equal(aki_quantize(CHECKPOINTS "bert", out, &e), AKI_E_INVALID);
    assert_non_null(strstr(e.message, "not empty"));
    aki_model_options_init(&o, sizeof o);
    o.precision = AKI_PRECISION_F32;
    assert_int_equal(aki_model_open(out, &o, &m, &e), AKI_E_UNSUPPORTED);
    assert_non_null(strstr(e.message, "f32 needs the folder it was made from"));
    o.precision = AKI_PRECISION_INT8;
    assert_int_equal(aki_model_open(out, &o, &m, &e), AKI_OK);
    aki_model_close(m);
    assert_int_equal(aki_quantize(NULL, again, &e), AKI_E_INVALID);
    assert_int_equal(aki_quantize(CHECKPOINTS "bert", NULL, &e), AKI_E_INVALID);
    assert_int_equal(aki_quantize(CHECKPOINTS "no-such", again, &e), AKI_E_NOT_FOUND);
    assert_int_not_equal(access(again, F_OK), 0);
    assert_int_equal(aki_quantize(CHECKPOINTS "no-such", again, NULL), AKI_E_NOT_FOUND);
}

/* ---------------------------------------------------------------- nothing is left behind ------------------------ */

static int entries(const char *folder)
{
    DIR *d = opendir(folder);
    int count = 0;

    assert_non_null(d);
    while (readdir(d))
        count++;
    closedir(d);
    return count - 2;
}

static void test_failures_leave_nothing(void **state)
{
    static const rlim_t limits[] = { 0, 1, 50, 200, 500, 1000, 5000, 20000, 60000 };
    char out[600], broken[600];
    struct rlimit before, lower;
    struct stat st;
    aki_error e = { 0 };
    (void)state;

    path_of(out, sizeof out, "left");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        for (int there = 0; there < 2; there++) {
            if (there)
                assert_int_equal(mkdir(out, 0777), 0);
            lower = before;
            lower.rlim_cur = limits[i];
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &lower), 0);
            aki_status rc = aki_quantize(CHECKPOINTS "bert-dense", out, &e);
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
            assert_int_equal(rc, AKI_E_IO);
            assert_non_null(strstr(e.message, "cannot write"));
            if (there) {
                assert_int_equal(entries(out), 0);
                rmdir(out);
            }
            assert_int_not_equal(access(out, F_OK), 0);
        }
    signal(SIGXFSZ, old);

    path_of(broken, sizeof broken, "broken");
    run("cp -r '" CHECKPOINTS "bert' '%s' && truncate -s -4 '%s/model.safetensors'", broken, broken);
    assert_int_equal(aki_quantize(broken, out, &e), AKI_E_INVALID);
    assert_int_not_equal(access(out, F_OK), 0);

    /* A file of OUT's name is not ours: it stays, as it is. */
    run("printf kept > '%s'", out);
    assert_int_equal(aki_quantize(CHECKPOINTS "bert", out, &e), AKI_E_IO);
    assert_int_equal(stat(out, &st), 0);
    assert_int_equal(st.st_size, 4);
    unlink(out);
    path_of(out, sizeof out, "no/such/folder");
    assert_int_equal(aki_quantize(CHECKPOINTS "bert", out, &e), AKI_E_IO);
}

/* ---------------------------------------------------------------- folders that were tampered with --------------- */

/* Opens the folder, or embeds with it: one of the two must fail with that status and a message that holds `what`. */
static void expect(const char *folder, aki_status status, const char *what)
{
    const char *text = "the cat sat";
    float v[MOST_DIM];
    aki_model *m = NULL;
    aki_error e = { 0 };
    aki_status rc = aki_model_open(folder, NULL, &m, &e);

    if (!rc)
        rc = aki_embed(m, &text, NULL, 1, NULL, v, sizeof v, NULL, NULL, &e);
    aki_model_close(m);
    if (rc != status || !strstr(e.message, what))
        fail_msg("%s: %d \"%s\", not %d \"%s\"", folder, rc, rc ? e.message : "", status, what);
}

#define FIRST "encoder.layer.0.attention.self.query.int8"

static void test_tampered_tensors(void **state)
{
    static const struct { const char *key, *from, *to; aki_status status; const char *what; } rows[] = {
        { "\"" FIRST "_scale\"", "int8_scale", "int8_scalX", AKI_E_NOT_FOUND, FIRST "_scale: quantise the model again" },
        { "\"" FIRST "\"", ".int8\"", ".intX\"", AKI_E_NOT_FOUND, FIRST ": quantise the model again" },
        { "\"" FIRST "\"", "[5,12,32,4]", "[12,5,32,4]", AKI_E_INVALID, "tensor " FIRST " is not of the dtype and shape" },
        { "\"" FIRST "\"", "[5,12,32,4]", "[7680]     ", AKI_E_INVALID, "tensor " FIRST " is not of the dtype and shape" },
        { "\"" FIRST "\"", "\"I8\"", "\"U8\"", AKI_E_INVALID, "tensor " FIRST " is not of the dtype and shape" },
        { "\"" FIRST "_scale\"", "\"F32\"", "\"I32\"", AKI_E_INVALID, "tensor " FIRST "_scale is not of the dtype and shape" },
        { "\"" FIRST "_sum\"", "\"I32\"", "\"F32\"", AKI_E_INVALID, "tensor " FIRST "_sum is not of the dtype and shape" },
        { "\"" FIRST "_sum\"", "int8_sum", "int8_suX", AKI_E_NOT_FOUND, FIRST "_sum: quantise the model again" },
        { "\"" FIRST "_scale\"", "[144]", "[143]", AKI_E_INVALID, "data_offsets" },
        { "\"embeddings.word_embeddings.weight\"", "\"F32\"", "\"I32\"", AKI_E_INVALID, "word_embeddings" },
        { "\"encoder.layer.1.output.dense.bias\"", ".bias\"", ".bia5\"", AKI_E_NOT_FOUND, "encoder.layer.1.output.dense.bias" },
    };
    char folder[600], good[600];
    struct file f;
    (void)state;

    path_of(good, sizeof good, "good");
    path_of(folder, sizeof folder, "tampered");
    quantize("bert", good);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        file_of_copy(&f, folder, good);
        if (strlen(rows[i].to) < strlen(rows[i].from)) {
            char padded[64];
            snprintf(padded, sizeof padded, "%-*s", (int)strlen(rows[i].from), rows[i].to);
            replace(&f, rows[i].key, rows[i].from, padded);
        } else {
            replace(&f, rows[i].key, rows[i].from, rows[i].to);
        }
        file_write(&f);
        expect(folder, rows[i].status, rows[i].what);
    }
    for (size_t cut = 1; cut < 60000; cut = cut * 3 + 1) {
        run("rm -rf '%s' && cp -r '%s' '%s' && truncate -s -%zu '%s/model.safetensors'", folder, good, folder, cut, folder);
        expect(folder, AKI_E_INVALID, "model.safetensors");
    }
}

/* What stays f32: its lists and values are checked; and it is what the product uses. */
static void test_tampered_outliers(void **state)
{
#define PRODUCT "layers.1.mlp.gate_proj.int8"
#define LAST "layers.2.self_attn.k_proj.int8"
    static const struct { const char *tensor; size_t at; uint32_t value; const char *what; } rows[] = {
        { PRODUCT "_columns", 0, 40, PRODUCT "_columns: not 1 to 16 increasing numbers below 48" },
        { PRODUCT "_columns", 0, 0xFFFFFFFFu, PRODUCT "_columns: not 1 to 16" },
        { PRODUCT "_columns", 1, 48, PRODUCT "_columns: not 1 to 16" },
        { PRODUCT "_columns", 1, 0x7FFFFFFF, PRODUCT "_columns: not 1 to 16" },
        { PRODUCT "_side", 1, 0x7FC00000u, PRODUCT "_side: value 1 is no finite number" },
        { PRODUCT "_side", 319, 0xFF800000u, PRODUCT "_side: value 319 is no finite number" },
        { "layers.0.mlp.gate_proj.int8_rows", 0, 160, "layers.0.mlp.gate_proj.int8_rows: not 1 to 48 increasing numbers below 160" },
        { "layers.0.mlp.gate_proj.int8_rows", 0, 0x80000000u, "not 1 to 48" },
        { "layers.0.mlp.gate_proj.int8_exact", 47, 0x7F800000u, "layers.0.mlp.gate_proj.int8_exact: value 47 is no finite number" },
        { LAST "_columns", 0, 6, "_columns is not that of the other products of these rows" },
    };
    static const struct { const char *key, *from, *to, *what; } shapes[] = {
        { "\"" PRODUCT "_columns\"", "[2]", "[1]", "data_offsets" },
        { "\"" PRODUCT "_columns\"", "\"I32\"", "\"F32\"", "_columns is not of the dtype and shape" },
        { "\"" PRODUCT "_side\"", "[5,2,32]", "[2,5,32]", "_side is not of the dtype and shape" },
        { "\"" PRODUCT "_side\"", "_side", "_sid3", "no tensor " PRODUCT "_side" },
        { "\"layers.0.mlp.gate_proj.int8_exact\"", "[1,48]", "[48,1]", "_exact is not of the dtype and shape" },
        { "\"" LAST "_columns\"", "_columns", "_column5", LAST "_columns is not that of the other products of these rows" },
    };
    static const char *const used[] = { PRODUCT "_side", "layers.0.mlp.gate_proj.int8_exact", "layers.1.self_attn.q_proj.int8_exact", LAST "_side", "layers.1.self_attn.o_proj.int8_side" };
    char folder[600], good[600];
    const char *text = "the cat sat";
    float before[MOST_DIM], after[MOST_DIM];
    aki_error e = { 0 };
    struct file f;
    (void)state;

    path_of(good, sizeof good, "good outliers");
    path_of(folder, sizeof folder, "tampered");
    quantize("qwen3-outliers", good);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        file_of_copy(&f, folder, good);
        memcpy(data_of(&f, rows[i].tensor) + 4 * rows[i].at, &rows[i].value, 4);
        file_write(&f);
        expect(folder, AKI_E_INVALID, rows[i].what);
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        file_of_copy(&f, folder, good);
        replace(&f, shapes[i].key, shapes[i].from, shapes[i].to);
        file_write(&f);
        expect(folder, strstr(shapes[i].what, "no tensor") ? AKI_E_NOT_FOUND : AKI_E_INVALID, shapes[i].what);
    }
    aki_model *m = open_model(good, AKI_PRECISION_DEFAULT);
    assert_int_equal(aki_embed(m, &text, NULL, 1, NULL, before, sizeof before, NULL, NULL, &e), AKI_OK);
    aki_model_close(m);
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        const float other = 100;
        file_of_copy(&f, folder, good);
        for (size_t at = 0; at < 32; at++)
            memcpy(data_of(&f, used[i]) + 4 * at, &other, 4);
        file_write(&f);
        m = open_model(folder, AKI_PRECISION_DEFAULT);
        assert_int_equal(aki_embed(m, &text, NULL, 1, NULL, after, sizeof after, NULL, NULL, &e), AKI_OK);
        aki_model_close(m);
        if (memcmp(before, after, 48 * sizeof *after) == 0)
            fail_msg("%s is not used", used[i]);
    }
}

/* Weights that stayed f32: both of a product have to be there, and they are what it uses. */
static void test_tampered_f32(void **state)
{
#define GATE "\"layers.0.mlp.gate_proj.weight\""
    static const struct { const char *key, *from, *to; aki_status status; const char *what; } rows[] = {
        { GATE, "weight", "weighX", AKI_E_INVALID, "of layers.0.mlp.gate_proj and layers.0.mlp.up_proj only one has a tensor .weight" },
        { "\"layers.0.mlp.up_proj.weight\"", "weight", "weighX", AKI_E_INVALID, "only one has a tensor .weight" },
        { "\"layers.0.self_attn.o_proj.weight\"", "weight", "weighX", AKI_E_NOT_FOUND, "layers.0.self_attn.o_proj.int8: quantise the model again" },
        { GATE, "[80,48]", "[48,80]", AKI_E_INVALID, "gate_proj.weight is [48, 80], the configuration asks for [80, 48]" },
        { GATE, "\"BF16\"", "\"I16\" ", AKI_E_INVALID, "gate_proj.weight is another dtype" },
    };
    char folder[600], good[600];
    const char *text = "the cat sat";
    float before[MOST_DIM], after[MOST_DIM];
    aki_error e = { 0 };
    struct file f;
    (void)state;

    path_of(good, sizeof good, "good extreme");
    path_of(folder, sizeof folder, "tampered");
    quantize("qwen3-extreme", good);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        file_of_copy(&f, folder, good);
        replace(&f, rows[i].key, rows[i].from, rows[i].to);
        file_write(&f);
        expect(folder, rows[i].status, rows[i].what);
    }
    for (int changed = 0; changed < 2; changed++) {
        file_of_copy(&f, folder, good);
        if (changed)
            plant(&f, GATE, 80, 48, 3, -1, 1);
        file_write(&f);
        aki_model *m = open_model(folder, AKI_PRECISION_DEFAULT);
        assert_int_equal(aki_embed(m, &text, NULL, 1, NULL, changed ? after : before, sizeof before, NULL, NULL, &e), AKI_OK);
        aki_model_close(m);
    }
    assert_memory_not_equal(before, after, 48 * sizeof *after);
}

/* Scales that no quantiser writes are refused; what is then too large for the arithmetic is an error, never a vector with NaN in it. */
static void test_tampered_scales(void **state)
{
    static const uint32_t bad[] = { 0x7FC00000u, 0xFFC00001u, 0x7F800000u, 0xFF800000u, 0xBF800000u };    /* NaNs, infinities, -1 */
    static const uint32_t odd[] = { 0x80000000u, 0x00000001u, 0x7F7FFFFFu };                              /* -0, denormal, the largest */
    char folder[600], good[600];
    struct file f;
    (void)state;

    path_of(good, sizeof good, "good");
    path_of(folder, sizeof folder, "tampered");
    for (size_t i = 0; i < 8; i++) {
        file_of_copy(&f, folder, good);
        memcpy(data_of(&f, "encoder.layer.1.output.dense.int8_scale"), i < 5 ? &bad[i] : &odd[i - 5], 4);
        file_write(&f);
        if (i < 5) {
            expect(folder, AKI_E_INVALID, "scale 0 is no finite number");
            continue;
        }
        const char *text = "the cat sat";
        float v[MOST_DIM];
        aki_error e = { 0 };
        aki_model *m = open_model(folder, AKI_PRECISION_DEFAULT);
        aki_status rc = aki_embed(m, &text, NULL, 1, NULL, v, sizeof v, NULL, NULL, &e);
        assert_true(rc == AKI_OK || rc == AKI_E_INVALID);
        for (size_t k = 0; k < 48 && !rc; k++)
            assert_true(isfinite(v[k]));
        aki_model_close(m);
    }
}

/* Sums at the edge of what its 96 weights of 8 bits can have, and beyond. */
static void test_tampered_sums(void **state)
{
    static const struct { int32_t value; bool good; } rows[] = { { 96 * 127, true }, { 96 * -128, true }, { 96 * 127 + 1, false }, { 96 * -128 - 1, false }, { INT32_MIN, false }, { INT32_MAX, false } };
    char folder[600], good[600];
    struct file f;
    (void)state;

    path_of(good, sizeof good, "good");
    path_of(folder, sizeof folder, "tampered");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        file_of_copy(&f, folder, good);
        memcpy(data_of(&f, "encoder.layer.1.output.dense.int8_sum") + 4 * 3, &rows[i].value, 4);
        file_write(&f);
        if (rows[i].good)
            aki_model_close(open_model(folder, AKI_PRECISION_DEFAULT));
        else
            expect(folder, AKI_E_INVALID, "encoder.layer.1.output.dense.int8_sum: sum 3 is ");
    }
}

/* Whatever slashes names end in, the same files are written, in the same places. */
static void test_slashes(void **state)
{
    static const char *const names[][2] = { { "", "////////////////////" }, { "/", "/" }, { "///////", "" }, { "//////////////////////", "//" } };
    char plain[600], out[600], source[600];
    aki_error e = { 0 };
    (void)state;

    path_of(plain, sizeof plain, "plain");
    quantize("bert-dense", plain);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(source, sizeof source, CHECKPOINTS "bert-dense%s", names[i][0]);
        snprintf(out, sizeof out, "%s/slashes%zu%s", work, i, names[i][1]);
        if (aki_quantize(source, out, &e))
            fail_msg("%s: %s", out, e.message);
        run("diff -r '%s' '%s/slashes%zu'", plain, work, i);
    }
}

/* config.json may say already that nothing is quantised: then it says the new thing in that place, once. */
static void test_config_that_says_nothing(void **state)
{
    static const char *const edits[] = {
        "s/^{/{\\n \"quantization_config\" : null,/", "s/^{/{\\n \"quantization_config\":{ },/", "$ s/}$/ , \"quantization_config\":{}\\n }/",
        "$ s/}$/,\"quantization_config\":null}/", "s/^{/{ \"quantization_config\": null , \"x\": {\"quantization_config\": 7},/",
    };
    char folder[600], out[600];
    aki_error e = { 0 };
    (void)state;

    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        snprintf(folder, sizeof folder, "%s/says%zu", work, i);
        snprintf(out, sizeof out, "%s/says%zu-int8", work, i);
        run("cp -r '" CHECKPOINTS "bert' '%s' && tr -d '\\n' < '" CHECKPOINTS "bert/config.json' | sed '%s' > '%s/config.json'", folder, edits[i], folder);
        if (aki_quantize(folder, out, &e))
            fail_msg("%zu: %s", i, e.message);
        aki_model_close(open_model(out, AKI_PRECISION_DEFAULT));
        run("test $(grep -o quant_method '%s/config.json' | wc -l) = 1", out);
    }
}

static void test_tampered_config(void **state)
{
    static const struct { const char *edit; aki_status status; const char *what; } rows[] = {
        { "s/\"bits\": [78]/\"bits\": 9/", AKI_E_INVALID, "bits" },
        { "s/\"bits\": [78]/\"bits\": 6/", AKI_E_INVALID, "bits" },
        { "s/\"bits\": [78]/\"bits\": \"8\"/", AKI_E_INVALID, "bits" },
        { "s/, \"bits\": [78]//", AKI_E_INVALID, "bits" },
        { "s/rotated-w8a8-3/rotated-w8a8-2/", AKI_E_UNSUPPORTED, "only rotated-w8a8-3 is read" },
        { "s/\"quant_method\": \"akiembed\"/\"quant_method\": \"gptq\"/", AKI_E_UNSUPPORTED, "quantised by others" },
        { "s/\"quantization_config\"/\"other\"/", AKI_E_NOT_FOUND, "query.weight" },
        { "s/\"hidden_size\": 48/\"hidden_size\": 64/", AKI_E_INVALID, "" },
    };
    char folder[600], good[600];
    (void)state;

    path_of(good, sizeof good, "good");
    path_of(folder, sizeof folder, "tampered");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        run("rm -rf '%s' && cp -r '%s' '%s' && sed -i '%s' '%s/config.json'", folder, good, folder, rows[i].edit, folder);
        expect(folder, rows[i].status, rows[i].what);
    }
    /* 7 bits are read by every processor. */
    run("rm -rf '%s' && cp -r '%s' '%s' && sed -i 's/\"bits\": [78]/\"bits\": 7/' '%s/config.json'", folder, good, folder, folder);
    aki_model_close(open_model(folder, AKI_PRECISION_DEFAULT));
}

static int set_up(void **state)
{
    (void)state;
    snprintf(work, sizeof work, "%s/quantize-XXXXXX", AKI_BINARY_DIR);
    return mkdtemp(work) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    run("rm -rf '%s'", work);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_extremes), cmocka_unit_test(test_measured), cmocka_unit_test(test_measured_fails), cmocka_unit_test(test_what_it_refuses), cmocka_unit_test(test_failures_leave_nothing),
        cmocka_unit_test(test_tampered_tensors), cmocka_unit_test(test_tampered_outliers), cmocka_unit_test(test_tampered_f32), cmocka_unit_test(test_tampered_scales),
        cmocka_unit_test(test_tampered_sums), cmocka_unit_test(test_tampered_config), cmocka_unit_test(test_slashes), cmocka_unit_test(test_config_that_says_nothing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
