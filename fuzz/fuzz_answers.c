/* Fuzzes the service from a request to its answer: routes, tokenising, batcher and writers, over tiny models and without sockets.
 *
 * The input's first line is "METHOD PATH MODEL FLAGS", the rest is the body. MODEL: a digit, the model that is asked by default. FLAGS: a
 * digit, the sum of NO_TYPE and IN_PIECES. This file is the carrier, in place of http.c. */
#include "fuzz.h"

#include "exchange.h"
#include "metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NO_TYPE = 1, IN_PIECES = 2 };

/* Of tests/make_checkpoints.py: no prompts; a default prompt; prompts that pooling leaves out; an instruction; a reranker; a classifier. */
static const char *const folders[] = { "bert-plain", "xlmr", "xlmr-no-prompt", "qwen3", "scores-bert", "scores-bert-nli" };
enum { MODELS = sizeof folders / sizeof *folders };

static char                  paths[MODELS][1024];
static struct server_model   names[MODELS + 1];        /* each server has its own model, and the next one by name */
static struct server_options options[MODELS];
static struct server         servers[MODELS];
static int                   client[2];                /* the other side is there, and silent */

/* The answer that is looked at. */
static struct {
    int         status;
    struct aki__buf  body;
    const char *type;
} answer;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  wake = PTHREAD_COND_INITIALIZER;
static bool            resumed, typed;

/* ---------------------------------------------------------------- the carrier ----------------------------------- */

const char *http_header(const struct exchange *x, const char *name)
{
    (void)x;
    return typed && !strcmp(name, "Content-Type") ? "application/json; charset=utf-8" : NULL;
}

const char *http_query(const struct exchange *x, const char *name)
{
    (void)x;
    (void)name;
    return NULL;
}

void http_send(struct exchange *x, int status, struct aki__buf *body, const char *type, const struct problem *p)
{
    FUZZ_CHECK(!x->answered && !body->failed && (!p || p->status == status));
    x->answered = true;
    x->status = answer.status = status;
    x->sent = body->size;
    answer.body = *body;
    answer.type = type;
    memset(body, 0, sizeof *body);
}

void http_suspend(struct exchange *x)
{
    (void)x;
    resumed = false;
}

void http_resume(struct exchange *x)
{
    (void)x;
    pthread_mutex_lock(&lock);
    resumed = true;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
}

static void wait_resumed(void)
{
    pthread_mutex_lock(&lock);
    while (!resumed)
        pthread_cond_wait(&wake, &lock);
    pthread_mutex_unlock(&lock);
}

/* ---------------------------------------------------------------- the servers ----------------------------------- */

static int open_model(void *user, const char *path, aki_model **out)
{
    aki_model_options o;

    (void)user;
    aki_model_options_init(&o, sizeof o);
    o.threads = 1;
    return (int)aki_model_open(path, &o, out, NULL);
}

static void changed(void *user, struct served *s)
{
    (void)user;
    FUZZ_CHECK(s->state == SERVED_OPEN);
}

static uint64_t resident(void) { return 1 << 20; }

static size_t write_f32(char *out, float value) { return (size_t)snprintf(out, 32, "%.9g", value); }

static void start_server(struct server *s, size_t i)
{
    struct server_options *o = &options[i];
    aki_model_info info;
    int state;

    *o = (struct server_options){
        .models = &names[i], .model_count = 2, .any_model = i == 0, .quiet = 1, .max_connections = 64, .http_threads = 1, .max_inputs = 8,
        .max_inputs_openai = 16, .max_queue_tokens = 4000, .max_body = i == 3 ? 400000 : 60000, .max_answer = i == 1 ? 20000 : 40000000,
        .open = open_model, .resident = resident, .write_f32 = write_f32,
    };
    s->o = o;
    s->models = calloc(o->model_count, sizeof *s->models);
    FUZZ_CHECK(s->models && !pthread_mutex_init(&s->lock, NULL));
    for (size_t k = 0; k < o->model_count; k++) {
        struct served *m = &s->models[k];
        *m = (struct served){ .name = o->models[k].name, .path = o->models[k].path, .open = open_model, .changed = changed,
                              .most_tokens = o->max_queue_tokens, .most_jobs = 32 };
        FUZZ_CHECK(served_start(m));
        while (!served_use(m, &info, &state))
            FUZZ_CHECK(state != SERVED_FAILED && !usleep(1000));
        served_release(m);
    }
    atomic_store(&s->begun, true);
}

static void start(void)
{
    FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, client));
    for (size_t i = 0; i <= MODELS; i++) {
        snprintf(paths[i % MODELS], sizeof paths[0], "%s/%s", FUZZ_MODELS, folders[i % MODELS]);
        names[i] = (struct server_model){ .name = folders[i % MODELS], .path = paths[i % MODELS] };
    }
    for (size_t i = 0; i < MODELS; i++)
        start_server(&servers[i], i);
}

/* ---------------------------------------------------------------- what has to be true of an answer -------------- */

/* An array's elements, one behind the other. */
static const struct aki__json *next(const struct aki__json *node) { return node + node->skip; }

static const struct aki__json *first(const struct aki__json *array)
{
    FUZZ_CHECK(array->kind == AKI_JSON_ARRAY);
    return array + 1;
}

/* Every token's text stands in prompt + text, which begins with a prompt that was asked for and ends with the text. */
static void check_tokens(const struct aki__json *tokens, const struct request *r, const struct request_input *in, struct served *s)
{
    aki_embed_options o;
    aki_encoded e;
    aki_error error;
    int64_t prompt;

    aki_embed_options_init(&o, sizeof o);
    o.kind = r->kind;
    o.prompt_name = r->prompt_name;
    o.instruction = r->instruction;
    aki_encoded_init(&e, sizeof e);
    FUZZ_CHECK(!aki_option_bounds(s->model, "prompt_size", NULL, &prompt, NULL, &error));
    e.text_capacity = in->size + (size_t)prompt;
    e.text = malloc(e.text_capacity);
    FUZZ_CHECK(e.text && !aki_encode(s->model, in->text, in->size, NULL, 0, &o, &e, &error));
    FUZZ_CHECK(e.text_size == e.prompt_size + in->size && !memcmp(e.text + e.prompt_size, in->text, in->size));
    if (r->instruction)
        FUZZ_CHECK(memmem(e.text, e.prompt_size, r->instruction, strlen(r->instruction)));
    const struct aki__json *token = first(tokens);
    for (size_t i = 0; i < tokens->size; i++, token = next(token)) {
        const struct aki__json *text = aki__json_get(token, "text");
        int64_t begin, end;
        FUZZ_CHECK(text && text->kind == AKI_JSON_STRING);
        if (aki__json_get(token, "special")->kind == AKI_JSON_TRUE)
            continue;
        FUZZ_CHECK(aki__json_int_in(aki__json_get(token, "start"), 0, INT32_MAX, &begin) && aki__json_int_in(aki__json_get(token, "stop"), begin, INT32_MAX, &end));
        FUZZ_CHECK((size_t)end <= e.text_size && text->size == (size_t)(end - begin) && !memcmp(e.text + begin, text->text, text->size));
    }
    free(e.text);
}

/* A finite number in each place, in rows of one length. */
static void check_vectors(const struct aki__json *top)
{
    const struct aki__json *row = first(top);

    for (size_t i = 0; i < top->size; i++, row = next(row)) {
        const struct aki__json *number = first(row);
        FUZZ_CHECK(row->size && row->size == first(top)->size);
        for (size_t k = 0; k < row->size; k++, number = next(number))
            FUZZ_CHECK(number->kind == AKI_JSON_NUMBER);
    }
}

/* A rerank's results: each document at most once, the best first. */
static void check_ranking(const struct aki__json *top, const struct request *r)
{
    const bool tei = r->family == FAMILY_TEI;
    const struct aki__json *list = tei ? top : aki__json_get(top, "results"), *result = first(list);
    double last = INFINITY, score;
    bool *seen = calloc(r->count + 1, sizeof *seen);
    int64_t index;

    FUZZ_CHECK(seen && list->size <= r->count && (!tei || list->size == r->count));
    for (size_t i = 0; i < list->size; i++, result = next(result)) {
        FUZZ_CHECK(aki__json_int_in(aki__json_get(result, "index"), 0, (int64_t)r->count - 1, &index) && !seen[index]);
        FUZZ_CHECK(aki__json_double(aki__json_get(result, tei ? "score" : "relevance_score"), &score) && score <= last);
        seen[index] = true;
        last = score;
    }
    free(seen);
}

/* body: as it was sent, [size] and a byte of room. */
static void check_content(const struct exchange *x, const struct aki__json *top, char *body, size_t size)
{
    const struct request_limits limits = { x->server->o->max_inputs, x->server->o->max_inputs_openai };
    struct request r;
    struct problem p = { 0 };

    FUZZ_CHECK(request_read(&r, x->route->body, body, size, &limits, &p));
    if (x->route->body == BODY_TOKENIZE || x->route->body == BODY_DECODE)
        FUZZ_CHECK(top->kind == AKI_JSON_ARRAY && top->size == r.count);
    const struct aki__json *tokens = top + 1;
    for (size_t i = 0; x->route->body == BODY_TOKENIZE && i < r.count; i++, tokens = next(tokens))
        check_tokens(tokens, &r, &r.inputs[i], x->served);
    if (x->route->body == BODY_EMBED && r.family == FAMILY_TEI) {
        FUZZ_CHECK(top->kind == AKI_JSON_ARRAY && top->size == r.count);
        check_vectors(top);
    }
    if (x->route->body == BODY_RERANK)
        check_ranking(top, &r);
    request_free(&r);
}

static bool is_known(int status)
{
    static const int known[] = { 200, 400, 404, 405, 413, 415, 422, 424, 429 };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == status)
            return true;
    return false;
}

static void check_answer(const struct exchange *x, char *body, size_t size)
{
    const bool post = x->route && !strcmp(x->route->method, "POST");
    struct aki__buf *b = &answer.body;
    struct aki__json_doc doc;
    struct aki__json_problem j;

    FUZZ_CHECK(x->answered && is_known(answer.status));
    FUZZ_CHECK(!b->size || aki__utf8_check(b->data, b->size) == AKI_UTF8_VALID);
    if (!strncmp(answer.type, "text/", 5) || (answer.status == 200 && !b->size))
        return;
    FUZZ_CHECK(buf_reserve(b, 1) && aki__json_read_in_place(&doc, b->data, b->size, 0, JSON_DEPTH, &j));
    if (answer.status != 200)
        FUZZ_CHECK(aki__json_get(doc.nodes, "error"));
    else if (post && size)
        check_content(x, doc.nodes, body, size);
    aki__json_free(&doc);
}

/* ---------------------------------------------------------------- one request ----------------------------------- */

static void carry(struct server *s, const char *method, const char *path, const char *body, size_t size, bool in_pieces)
{
    struct exchange *x = calloc(1, sizeof *x);
    struct peer peer = { .fd = client[0], .address = "unix" };
    const size_t first = in_pieces ? size / 2 : size;
    char *sent = malloc(size + 1);

    FUZZ_CHECK(x && sent);
    memcpy(sent, body, size);
    x->server = s;
    x->peer = &peer;
    x->start = x->parsed = x->tokenised = seconds_now();
    FUZZ_CHECK(exchange_head(x, method, path) && exchange_length(x, in_pieces ? 0 : size));
    if (first)
        FUZZ_CHECK(exchange_body(x, body, first));
    if (size - first)
        FUZZ_CHECK(exchange_body(x, body + first, size - first));
    exchange_run(x);
    if (!x->answered) {
        wait_resumed();
        exchange_run(x);
    }
    check_answer(x, sent, size);
    aki__buf_free(&answer.body);
    exchange_end(x, true);
    free(sent);
    FUZZ_CHECK(!atomic_load(&s->in_flight) && !atomic_load(&s->held));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *end = size ? memchr(data, '\n', size) : NULL;
    char line[512], method[16], path[400];
    int model, flags;

    if (!end || (size_t)(end - (const char *)data) >= sizeof line)
        return 0;
    snprintf(line, sizeof line, "%.*s", (int)(end - (const char *)data), (const char *)data);
    if (sscanf(line, "%15s %399s %1d %1d", method, path, &model, &flags) != 4)
        return 0;
    if (!servers[0].o)
        start();
    typed = !(flags & NO_TYPE);
    carry(&servers[model % MODELS], method, path, end + 1, size - (size_t)(end + 1 - (const char *)data), flags & IN_PIECES);
    return 0;
}
