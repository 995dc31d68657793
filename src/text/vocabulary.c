/* Unit vocabulary: maps pieces to ids and ids to pieces. See vocabulary.h. */
#include "text/vocabulary.h"

bool aki__vocabulary_init(struct aki__vocabulary *v, size_t count, size_t bytes, size_t limit)
{
    size_t slots = 16;

    *v = (struct aki__vocabulary){ .limit = limit };
    while (slots < count * 2)
        slots *= 2;
    v->mask = slots - 1;
    v->bytes = aki__alloc(bytes, 1);
    v->pieces = aki__zalloc(limit, sizeof *v->pieces);
    v->table = aki__zalloc(slots, sizeof *v->table);
    return v->bytes && v->pieces && v->table;
}

void aki__vocabulary_free(struct aki__vocabulary *v)
{
    aki__free(v->bytes);
    aki__free(v->pieces);
    aki__free(v->table);
    *v = (struct aki__vocabulary){ 0 };
}

/* The seed is an address, which the author of a file does not know, and so cannot make its pieces collide. */
static uint64_t hash_of(const struct aki__vocabulary *v, const char *piece, size_t size) { return aki__hash(piece, size, (uintptr_t)v->table); }

/* The slot of a spelling, or the free slot for it. */
static size_t slot_of(const struct aki__vocabulary *v, const char *piece, size_t size, uint64_t hash)
{
    size_t i = hash & v->mask;

    for (; v->table[i]; i = (i + 1) & v->mask) {
        if ((v->table[i] ^ hash) >> 32)
            continue;
        const struct aki__piece *other = &v->pieces[(uint32_t)v->table[i] - 1];
        if (other->size_1 == size + 1 && memcmp(v->bytes + other->begin, piece, size) == 0)
            break;
    }
    return i;
}

bool aki__vocabulary_add(struct aki__vocabulary *v, int32_t id, const char *piece, size_t size, bool replace)
{
    uint64_t hash = hash_of(v, piece, size);
    size_t slot = slot_of(v, piece, size, hash);

    if (v->table[slot] && !replace)
        return false;
    v->repeats |= v->table[slot] != 0;
    v->pieces[id] = (struct aki__piece){ (uint32_t)v->used, (uint32_t)size + 1 };
    memcpy(v->bytes + v->used, piece, size);
    v->used += size;
    v->count++;
    v->table[slot] = (hash & UINT64_C(0xFFFFFFFF00000000)) | (uint32_t)(id + 1);
    if (size > v->longest)
        v->longest = size;
    return true;
}

int32_t aki__vocabulary_id(const struct aki__vocabulary *v, const char *piece, size_t size)
{
    if (size > v->longest)
        return -1;
    return (int32_t)(uint32_t)v->table[slot_of(v, piece, size, hash_of(v, piece, size))] - 1;
}

const char *aki__vocabulary_piece(const struct aki__vocabulary *v, int32_t id, size_t *size)
{
    if (id < 0 || (size_t)id >= v->limit || !v->pieces[id].size_1)
        return NULL;
    *size = v->pieces[id].size_1 - 1;
    return v->bytes + v->pieces[id].begin;
}
