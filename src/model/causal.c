/* Unit causal: causal rerankers: language models that score a pair by a logit of its last position, or by the difference of two, and the template
 * that frames the pair. */
#include "model/parts.h"

#include <math.h>

enum { MOST_TEMPLATE = 1 << 16, MOST_CARD = 1 << 16 };     /* bytes */

/* ---------------------------------------------------------------- the template ---------------------------------- */

/* A template for chats has the roles user and assistant; one for pairs names those of a pair. */
static bool names_roles(const char *template)
{
    return (strstr(template, "'query'") || strstr(template, "\"query\"")) && (strstr(template, "'document'") || strstr(template, "\"document\""));
}

static aki_status keep_template(struct aki__model *m, const char *text, size_t size, const char *name, aki_error *err)
{
    if (size > MOST_TEMPLATE || memchr(text, '\0', size) || aki__utf8_check(text, size) != AKI_UTF8_VALID)
        return aki__fail(err, AKI_E_INVALID, "%s: the chat template is longer than 64 KiB or no text", name);
    m->labels.template = aki__copy_string(text, size);
    return m->labels.template ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "%s", name);
}

/* Maps a file of the folder that may be missing, and adds it to m->files. */
static aki_status open_text(struct aki__map *map, struct aki__model *m, const char *name, aki_error *err)
{
    char *path = aki__join(m->path, name);
    aki_status rc = path ? aki__map_open(map, path, err) : aki__fail(err, AKI_E_NOMEM, "%s", name);

    if (rc == AKI_E_NOT_FOUND)
        rc = AKI_OK;
    else if (!rc)
        rc = aki__note_file(m, path, map->size, err);
    aki__free(path);
    return rc;
}

aki_status aki__template_read(struct aki__model *m, bool *roles, aki_error *err)
{
    static const char own[] = "chat_template.jinja", other[] = "tokenizer_config.json";
    struct aki__map map = { 0 };
    struct aki__json_file f = { 0 };

    aki_status rc = open_text(&map, m, own, err);
    if (!rc && map.data)
        rc = keep_template(m, map.data, map.size, own, err);
    else if (!rc && !(rc = aki__json_file_open(&f, m, other, AKI_JSON_OBJECT, true, err))) {
        const struct aki__json *text = aki__key(f.doc.nodes, "chat_template");
        if (aki__json_is(text, AKI_JSON_STRING))
            rc = keep_template(m, text->text, text->size, other, err);
    }
    *roles = !rc && m->labels.template && names_roles(m->labels.template);
    aki__json_file_close(&f);
    aki__map_close(&map);
    return rc;
}

/* ---------------------------------------------------------------- folders without modules.json ------------------ */

/* The line "pipeline_tag: text-ranking" between the two lines "---" at the beginning of README.md. */
static bool says_ranking(const char *text, size_t size)
{
    static const char key[] = "pipeline_tag:", value[] = "text-ranking";
    const char *end = text + (size < MOST_CARD ? size : MOST_CARD), *line = text, *next;

    for (bool inside = false; line < end; line = next + 1, inside = true) {
        if (!(next = memchr(line, '\n', (size_t)(end - line))))
            return false;
        bool mark = next - line >= 3 && memcmp(line, "---", 3) == 0;
        if (mark == inside)
            return false;                                   /* no front matter, or its end */
        if (mark || (size_t)(next - line) < sizeof key - 1 || memcmp(line, key, sizeof key - 1) != 0)
            continue;
        line += sizeof key - 1;
        while (line < next && (*line == ' ' || *line == '"' || *line == '\''))
            line++;
        return (size_t)(next - line) >= sizeof value - 1 && memcmp(line, value, sizeof value - 1) == 0;
    }
    return false;
}

static aki_status find_token(int32_t *id, const struct aki__model *m, const struct aki__json_file *f, const char *word, aki_error *err)
{
    const struct aki__json *vocabulary = aki__key(aki__key(f->doc.nodes, "model"), "vocab");
    int64_t found;

    if (!aki__json_int_in(aki__key(vocabulary, word), 0, m->vocabulary - 1, &found))
        return aki__key_fail(f, vocabulary, "model.vocab", AKI_E_INVALID, err, "without the tokens by which this model ranks texts");
    *id = (int32_t)found;
    return AKI_OK;
}

aki_status aki__ranking_read(struct aki__model *m, aki_error *err)
{
    const struct aki__ranking *known = m->family->ranking;
    struct aki__map card = { 0 };
    struct aki__json_file f = { 0 };
    bool roles = false;

    char *path = known ? aki__join(m->path, "README.md") : NULL;
    if (!known || !path || aki__map_open(&card, path, NULL) || !says_ranking(card.data, card.size)) {
        aki__map_close(&card);
        aki__free(path);
        return known && !path ? aki__fail(err, AKI_E_NOMEM, "README.md") : AKI_OK;
    }
    aki_status rc = aki__note_file(m, path, card.size, err);
    aki__map_close(&card);
    aki__free(path);
    m->labels.head = AKI_HEAD_LOGIT;
    if (!rc) rc = aki__json_file_open(&f, m, "tokenizer.json", AKI_JSON_OBJECT, false, err);
    if (!rc) rc = find_token(&m->labels.true_id, m, &f, known->yes, err);
    if (!rc) rc = find_token(&m->labels.false_id, m, &f, known->no, err);
    if (!rc) rc = aki__template_read(m, &roles, err);
    if (!rc && !roles) {
        aki__free(m->labels.template);
        rc = keep_template(m, known->template, strlen(known->template), "the model's template", err);
    }
    aki__json_file_close(&f);
    return rc;
}

/* ---------------------------------------------------------------- the head -------------------------------------- */

aki_status aki__logit_read(struct aki__model *m, const char *config, aki_error *err)
{
    struct aki__json_file f;

    aki_status rc = aki__json_file_open(&f, m, config, AKI_JSON_OBJECT, false, err);
    if (!rc) rc = aki__key_int(&m->labels.true_id, &f, f.doc.nodes, "true_token_id", 0, m->vocabulary - 1, AKI_REQUIRED, err);
    if (!rc) rc = aki__key_int(&m->labels.false_id, &f, f.doc.nodes, "false_token_id", 0, m->vocabulary - 1, -1, err);
    if (!rc) rc = aki__key_expect(&f, f.doc.nodes, "module_input_name", "causal_logits", err);
    aki__json_file_close(&f);
    return rc;
}

aki_status aki__logit_make(struct aki__model *m, aki_error *err)
{
    static const struct aki__map no_file;
    const struct aki__labels *l = &m->labels;
    struct aki__tensor *row = &aki__folder_of(m)->logit;
    const struct aki__tensor *table;
    const size_t columns = (size_t)m->hidden;

    if (l->head != AKI_HEAD_LOGIT)
        return AKI_OK;
    const char *name = l->tied ? m->family->anchor : "/lm_head.weight";
    aki_status rc = aki__model_has(m, AKI_LOGIT_ROW) ? aki__model_tensor(m, &table, err, AKI_LOGIT_ROW, 2, 1, m->hidden)
                                                      : aki__model_tensor(m, &table, err, name, 2, m->vocabulary, m->hidden);
    if (rc || (rc = aki__dense_add(m, name, err)))
        return rc;
    float *w = aki__alloc(2 * columns, sizeof *w);
    if (!w) {
        m->dense_count--;
        return aki__fail(err, AKI_E_NOMEM, "%s", name);
    }
    const bool made = table->shape[0] == 1 && m->vocabulary > 1;        /* in a quantised folder */
    aki__tensor_read(w, table, made ? 0 : (size_t)l->true_id * columns, columns);
    if (!made && l->false_id >= 0) {
        aki__tensor_read(w + columns, table, (size_t)l->false_id * columns, columns);
        for (size_t i = 0; i < columns; i++)
            w[i] -= w[columns + i];
    }
    *row = (struct aki__tensor){ .name = &AKI_LOGIT_ROW[1], .dtype = AKI_F32, .rank = 2, .shape = { 1, m->hidden }, .data = w,
                                 .size = columns * sizeof *w, .map = &no_file };
    m->dense[m->dense_count - 1] = (struct aki__dense){ .weight = row, .activation = AKI_ACT_NONE };
    for (size_t i = 0; i < columns; i++)
        if (!isfinite(w[i]))
            return aki__fail(err, AKI_E_INVALID, "%s: tensor %s: a row that scores are made of is not finite", m->path, table->name);
    return AKI_OK;
}
