/* Unit json: JSON files. See json.h. */
#include "base/json.h"

static aki_status fail(const struct aki__json_problem *p, const char *words, const char *name, aki_error *err)
{
    aki_status rc = aki__fail(err, AKI_E_INVALID, "%s: JSON, line %zu, byte %zu: %s", name, p->line, p->offset, words);

    if (err)
        err->offset = p->offset;
    return rc;
}

static aki_status parse(struct aki__json_doc *doc, const char *text, size_t size, unsigned how, const char *name, aki_error *err)
{
    struct aki__json_problem problem;

    if (aki__json_read(doc, text, size, how, AKI_JSON_MAX_DEPTH, &problem))
        return AKI_OK;
    switch (problem.error) {
    case AKI_JSON_NO_MEMORY: return aki__fail(err, AKI_E_NOMEM, "%s: JSON", name);
    case AKI_JSON_TOO_LONG:  return aki__fail(err, AKI_E_INVALID, "%s: JSON of %zu bytes, above the limit of %u", name, size, (unsigned)AKI_JSON_MAX_SIZE);
    default:                 break;
    }
    return fail(&problem, aki__is_lfs_pointer(text, size) ? AKI_LFS_POINTER : aki__json_words(problem.error), name, err);
}

aki_status aki__json_parse(struct aki__json_doc *doc, const char *text, size_t size, const char *name, aki_error *err)
{
    return parse(doc, text, size, 0, name, err);
}

aki_status aki__json_parse_vocabulary(struct aki__json_doc *doc, const char *text, size_t size, const char *name, aki_error *err)
{
    return parse(doc, text, size, AKI_JSON_VOCABULARY, name, err);
}
