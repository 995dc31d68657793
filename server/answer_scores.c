/* Unit answer, the scores: what the routes of rerankers and classifiers answer. See answer.h. */
#include "answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A score and where it stood. */
struct ranked { float score; size_t index; };

static int best_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

/* scores: every step-th of [count * step], sorted. NULL: no memory. */
static struct ranked *rank(const float *scores, size_t count)
{
    struct ranked *out = malloc((count + 1) * sizeof *out);

    for (size_t i = 0; out && i < count; i++)
        out[i] = (struct ranked){ scores[i], i };
    if (out && count)
        qsort(out, count, sizeof *out, best_first);
    return out;
}

static void number(const struct exchange *x, struct aki__buf *out, float value)
{
    char text[48];

    buf_add(out, text, x->server->o->write_f32(text, value));
}

const char *answer_label(const struct exchange *x, size_t i, char own[LABEL_SIZE])
{
    if (x->info.labels)
        return x->info.labels[i];
    snprintf(own, LABEL_SIZE, "LABEL_%zu", i);
    return own;
}

static void usage(const struct exchange *x, struct aki__buf *out)
{
    buf_format(out, ",\"usage\":{\"prompt_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}}", x->job.starts[x->job.count], x->job.starts[x->job.count]);
}

/* What answers of the kinds of OpenAI, Cohere, Jina and vLLM begin with. */
static void heading(const struct exchange *x, struct aki__buf *out, const char *prefix)
{
    buf_format(out, "{\"id\":\"%s%s\",\"object\":\"list\",\"model\":", prefix, x->id);      /* an id has letters, digits and ._:- only */
    json_text(out, x->served->name);
}

static void write_document(const struct exchange *x, struct aki__buf *out, size_t i, const char *before, const char *after)
{
    if (!x->request.return_text)
        return;
    buf_text(out, before);
    json_string(out, x->request.inputs[i].second, x->request.inputs[i].second_size);
    buf_text(out, after);
}

static void tei_rerank(const struct exchange *x, struct aki__buf *out, const struct ranked *r)
{
    buf_text(out, "[");
    for (size_t i = 0; i < x->job.count; i++) {
        buf_format(out, "%s{\"index\":%zu", i ? "," : "", r[i].index);
        write_document(x, out, r[i].index, ",\"text\":", "");
        buf_text(out, ",\"score\":");
        number(x, out, r[i].score);
        buf_text(out, "}");
    }
    buf_text(out, "]");
}

static void cohere_rerank(const struct exchange *x, struct aki__buf *out, const struct ranked *r)
{
    size_t count = x->top && x->top < x->job.count ? x->top : x->job.count;

    heading(x, out, "rerank-");
    buf_text(out, ",\"results\":[");
    for (size_t i = 0; i < count; i++) {
        buf_format(out, "%s{\"index\":%zu,\"relevance_score\":", i ? "," : "", r[i].index);
        number(x, out, r[i].score);
        write_document(x, out, r[i].index, ",\"document\":{\"text\":", "}");
        buf_text(out, "}");
    }
    buf_text(out, "],\"meta\":{\"api_version\":{\"version\":\"2\"},\"billed_units\":{\"search_units\":1}}");
    usage(x, out);
}

static bool predictions(const struct exchange *x, struct aki__buf *out, size_t i)
{
    struct ranked *r = rank(x->job.out + i * x->job.width, x->job.width);
    char own[LABEL_SIZE];

    buf_text(out, "[");
    for (size_t k = 0; r && k < x->job.width; k++) {
        buf_text(out, k ? ",{\"score\":" : "{\"score\":");
        number(x, out, r[k].score);
        buf_text(out, ",\"label\":");
        json_text(out, answer_label(x, r[k].index, own));
        buf_text(out, "}");
    }
    buf_text(out, "]");
    free(r);
    return r;
}

static bool predict(const struct exchange *x, struct aki__buf *out)
{
    bool ok = true;

    if (x->single)
        return predictions(x, out, 0);
    buf_text(out, "[");
    for (size_t i = 0; i < x->job.count && ok; i++) {
        buf_text(out, i ? "," : "");
        ok = predictions(x, out, i);
    }
    buf_text(out, "]");
    return ok;
}

/* vLLM's, of /score: a number a pair, of the first label. */
static void score(const struct exchange *x, struct aki__buf *out)
{
    heading(x, out, "score-");
    buf_format(out, ",\"created\":%lld,\"data\":[", (long long)time(NULL));
    for (size_t i = 0; i < x->job.count; i++) {
        buf_format(out, "%s{\"index\":%zu,\"object\":\"score\",\"score\":", i ? "," : "", i);
        number(x, out, x->job.out[i * x->job.width]);
        buf_text(out, "}");
    }
    buf_text(out, "]");
    usage(x, out);
}

/* vLLM's, of /classify. */
static void classify(const struct exchange *x, struct aki__buf *out)
{
    const size_t width = x->job.width;
    char own[LABEL_SIZE];

    heading(x, out, "classify-");
    buf_format(out, ",\"created\":%lld,\"data\":[", (long long)time(NULL));
    for (size_t i = 0; i < x->job.count; i++) {
        const float *row = x->job.out + i * width;
        size_t best = 0;
        for (size_t k = 1; k < width; k++)
            best = row[k] > row[best] ? k : best;
        buf_format(out, "%s{\"index\":%zu,\"label\":", i ? "," : "", i);
        json_text(out, answer_label(x, best, own));
        buf_text(out, ",\"probs\":");
        json_floats(out, row, width, x->server->o->write_f32);
        buf_format(out, ",\"num_classes\":%zu}", width);
    }
    buf_text(out, "]");
    usage(x, out);
}

void answer_scores(struct exchange *x, struct aki__buf *out)
{
    struct ranked *r = NULL;
    bool ok = true;

    switch (x->route->body) {
    case BODY_PREDICT:  ok = predict(x, out); break;
    case BODY_SCORE:    score(x, out); break;
    case BODY_CLASSIFY: classify(x, out); break;
    default:
        r = rank(x->job.out, x->job.count);
        ok = r != NULL;
        if (ok)
            (x->family == FAMILY_TEI ? tei_rerank : cohere_rerank)(x, out, r);
        free(r);
    }
    out->failed |= !ok;
}
