/* Unit tokenizer: decodes ids, and answers questions about the vocabulary. See tokenizer.h. */
#include "text/tokenizer_parts.h"

aki_status aki__tokenizer_decode(const struct aki__tokenizer *t, const int32_t *ids, size_t count, bool skip_special,
                                 struct aki__buf *out, aki_error *err)
{
    struct aki__parts parts = { 0 };
    struct aki__work *w = aki__work_acquire(t);
    aki_status rc = w ? AKI_OK : aki__fail(err, AKI_E_NOMEM, "tokenizer: no memory");

    for (size_t i = 0; i < count && !rc; i++) {
        const struct aki__added_token *a = aki__added_by_id(&t->added, ids[i]);
        size_t size = a ? a->normalized_content ? a->normalized_size : a->size : 0;
        const char *text = a ? a->normalized_content ? a->normalized_content : a->content : aki__algorithm_piece(t->model, ids[i], &size);
        if (!text) {
            rc = aki__fail(err, AKI_E_INVALID, "token %zu: no such id: %d", i, (int)ids[i]);
            if (err)
                err->offset = i;
            break;
        }
        if (skip_special && (a = aki__added_by_content(&t->added, text, size)) != NULL && a->special)
            continue;
        if (!aki__parts_add(&parts, text, size))
            rc = aki__fail(err, AKI_E_NOMEM, "tokenizer: no memory");
    }
    if (!rc) {
        rc = aki__decode(t->decoder, w, &parts, out);
        if (rc)
            aki__fail(err, rc, "tokenizer: %s", w->failure ? w->failure : "failed");
    }
    aki__parts_free(&parts);
    aki__work_release(t, w);
    return rc;
}

size_t aki__tokenizer_vocabulary(const struct aki__tokenizer *t) { return t->vocabulary; }

const char *aki__tokenizer_piece(const struct aki__tokenizer *t, int32_t id, size_t *size)
{
    const struct aki__added_token *a = aki__added_by_id(&t->added, id);

    if (!a)
        return aki__algorithm_piece(t->model, id, size);
    *size = a->size;
    return a->content;
}

int32_t aki__tokenizer_id(const struct aki__tokenizer *t, const char *piece, size_t size)
{
    const struct aki__added_token *a = aki__added_by_content(&t->added, piece, size);

    return a ? a->id : aki__algorithm_id(t->model, piece, size);
}

size_t aki__tokenizer_special_count(const struct aki__tokenizer *t) { return t->post.single.specials; }

bool aki__tokenizer_has_types(const struct aki__tokenizer *t, bool pair)
{
    const struct aki__post_template *post = pair ? &t->post.pair : &t->post.single;

    for (size_t i = 0; i < post->count; i++)
        if (post->items[i].type)
            return true;
    return false;
}
bool aki__tokenizer_cuts_left(const struct aki__tokenizer *t) { return t->cuts_left; }

void aki__tokenizer_append(struct aki__tokenizer *t, int32_t id)
{
    struct aki__post_template *both[2] = { &t->post.single, &t->post.pair };

    for (int i = 0; i < 2; i++) {
        both[i]->items[both[i]->count++] = (struct aki__post_item){ id, 0 };
        both[i]->specials++;
    }
}
