/* Tests: reading tests/data/golden and driving a model with it. */
#ifndef AKI_TEST_GOLDEN_H
#define AKI_TEST_GOLDEN_H

#include "akiembed.h"
#include "base/json.h"
#include "base/os.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CHECKPOINTS AKI_BINARY_DIR "/checkpoints/"

struct golden {
    struct aki__map      map, texts_map;
    struct aki__json_doc doc, texts;
    const struct aki__json *cases;
    size_t count, dim;
};

struct golden_case {
    const char *text;       /* size bytes */
    size_t      size;
    char        prompt_name[64];    /* "": none */
    const struct aki__json *ids, *vector;   /* vector NULL: no ids, no vector */
};

static inline void golden_open(struct golden *g, const char *name)
{
    char path[512];
    int64_t dim;
    aki_error e = { 0 };

    snprintf(path, sizeof path, "%s/tests/data/golden/%s.json", AKI_SOURCE_DIR, name);
    assert_int_equal(aki__map_open(&g->map, path, &e), AKI_OK);
    assert_int_equal(aki__json_parse(&g->doc, g->map.data, g->map.size, path, &e), AKI_OK);
    assert_int_equal(aki__map_open(&g->texts_map, AKI_SOURCE_DIR "/tests/data/texts.json", &e), AKI_OK);
    assert_int_equal(aki__json_parse(&g->texts, g->texts_map.data, g->texts_map.size, "texts.json", &e), AKI_OK);
    g->cases = aki__json_get(g->doc.nodes, "cases");
    assert_true(g->cases && g->cases->size > 0);
    assert_true(aki__json_int(aki__json_get(g->doc.nodes, "dim"), &dim));
    g->count = g->cases->size;
    g->dim = (size_t)dim;
}

static inline void golden_close(struct golden *g)
{
    aki__json_free(&g->doc);
    aki__json_free(&g->texts);
    aki__map_close(&g->map);
    aki__map_close(&g->texts_map);
}

static inline struct golden_case golden_at(const struct golden *g, size_t i)
{
    const struct aki__json *c = aki__json_first(g->cases), *t = aki__json_first(g->texts.nodes);
    struct golden_case out = { 0 };
    int64_t text;

    while (i-- > 0)
        c = aki__json_next(c);
    assert_true(aki__json_int(aki__json_get(c, "text"), &text));
    while (text-- > 0)
        t = aki__json_next(t);
    out.text = t->text;
    out.size = t->size;
    const struct aki__json *prompt = aki__json_get(c, "prompt_name");
    if (aki__json_is(prompt, AKI_JSON_STRING))
        snprintf(out.prompt_name, sizeof out.prompt_name, "%.*s", (int)prompt->size, prompt->text);
    out.ids = aki__json_get(c, "ids");
    out.vector = aki__json_get(c, "vector");
    return out;
}

/* Options of a case; valid as long as c is. */
static inline aki_embed_options golden_options(const struct golden_case *c)
{
    aki_embed_options o;

    aki_embed_options_init(&o, sizeof o);
    o.no_reuse = 1;
    if (c->prompt_name[0])
        o.prompt_name = c->prompt_name;
    return o;
}

/* Largest difference of a vector from the golden one. */
static inline double golden_distance(const struct golden_case *c, const float *v, size_t dim)
{
    const struct aki__json *x = aki__json_first(c->vector);
    double most = 0, g;

    assert_int_equal(c->vector->size, dim);
    for (size_t i = 0; i < dim; i++, x = aki__json_next(x)) {
        assert_true(aki__json_double(x, &g));
        most = fmax(most, fabs(g - v[i]));
    }
    return most;
}

static inline double golden_cosine(const struct golden_case *c, const float *v, size_t dim)
{
    const struct aki__json *x = aki__json_first(c->vector);
    double ab = 0, aa = 0, bb = 0, g;

    for (size_t i = 0; i < dim; i++, x = aki__json_next(x)) {
        assert_true(aki__json_double(x, &g));
        ab += g * v[i];
        aa += g * g;
        bb += (double)v[i] * v[i];
    }
    return ab / sqrt(aa * bb);
}

static inline aki_model *open_model(const char *folder, int32_t precision)
{
    aki_model_options o;
    aki_model *m = NULL;
    aki_error e = { 0 };

    aki_model_options_init(&o, sizeof o);
    o.precision = precision;
    if (aki_model_open(folder, &o, &m, &e))
        fail_msg("%s: %s", folder, e.message);
    return m;
}

#endif
