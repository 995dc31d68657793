/* Unit safetensors: headers of safetensors files, which are checked completely before a tensor is returned; tensors by name,
 * and their values. */
#include "model/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#  error "safetensors files are little-endian, and their tensors are used where they are mapped"
#endif

#define HEADER_LIMIT 100000000u     /* of the format */
#define MAX_RANK     8

/* ---------------------------------------------------------------- dtypes ---------------------------------------- */

/* All types of the format, so that the sizes of tensors that are not read are checked too. */
static const struct { char name[10]; unsigned char bits; enum aki__dtype dtype; } dtypes[] = {
    { "F32", 32, AKI_F32 },            { "F16", 16, AKI_F16 },            { "BF16", 16, AKI_BF16 },         { "I8", 8, AKI_I8 },
    { "U8", 8, AKI_U8 },               { "I32", 32, AKI_I32 },            { "I64", 64, AKI_I64 },           { "BOOL", 8, AKI_DTYPE_OTHER },
    { "I16", 16, AKI_DTYPE_OTHER },    { "U16", 16, AKI_DTYPE_OTHER },    { "U32", 32, AKI_DTYPE_OTHER },   { "U64", 64, AKI_DTYPE_OTHER },
    { "F64", 64, AKI_DTYPE_OTHER },    { "C64", 64, AKI_DTYPE_OTHER },    { "F8_E4M3", 8, AKI_DTYPE_OTHER },{ "F8_E5M2", 8, AKI_DTYPE_OTHER },
    { "F8_E8M0", 8, AKI_DTYPE_OTHER }, { "F6_E2M3", 6, AKI_DTYPE_OTHER }, { "F6_E3M2", 6, AKI_DTYPE_OTHER },{ "F4", 4, AKI_DTYPE_OTHER },
};

size_t aki__dtype_size(enum aki__dtype dtype)
{
    switch (dtype) {
    case AKI_F32: case AKI_I32:  return 4;
    case AKI_F16: case AKI_BF16: return 2;
    case AKI_I8: case AKI_U8:    return 1;
    case AKI_I64:                return 8;
    case AKI_DTYPE_OTHER:        break;
    }
    return 0;
}

const char *aki__dtype_name(enum aki__dtype dtype)
{
    switch (dtype) {
    case AKI_F32:  return "f32";
    case AKI_F16:  return "f16";
    case AKI_BF16: return "bf16";
    case AKI_I8:   return "i8";
    case AKI_U8:   return "u8";
    case AKI_I32:  return "i32";
    case AKI_I64:  return "i64";
    case AKI_DTYPE_OTHER: break;
    }
    return "another dtype";
}

void aki__tensor_read(float *out, const struct aki__tensor *t, size_t begin, size_t count)
{
    const char *data = t->data;
    uint16_t half;

    switch (t->dtype) {
    case AKI_F32:
        memcpy(out, data + begin * 4, count * 4);
        break;
    case AKI_BF16:
        for (size_t i = 0; i < count; i++) {
            memcpy(&half, data + (begin + i) * 2, 2);
            out[i] = aki__bf16_to_f32(half);
        }
        break;
    case AKI_F16:
        for (size_t i = 0; i < count; i++) {
            memcpy(&half, data + (begin + i) * 2, 2);
            out[i] = aki__f16_to_f32(half);
        }
        break;
    default:        /* aki__model_tensor returns no other */
        break;
    }
}

/* ---------------------------------------------------------------- one header ------------------------------------ */

bool aki__weights_pass(struct aki__weights *w, aki_status rc, const aki_error *err)
{
    bool reported = rc != AKI_E_NOMEM && aki__report_error(w->report, err);

    w->faults += reported;
    return reported;
}

struct data_range {
    uint64_t begin, end;            /* in the file's data */
    size_t   tensor;
};

/* node: the part of the header; NULL: the tensor as a whole. */
static aki_status bad_tensor(const struct aki__weights_file *f, const struct aki__json *key, const struct aki__json *node,
                             aki_status status, aki_error *err, const char *what)
{
    uint64_t offset = 8 + (uint64_t)(node ? node : key)->offset;

    aki__fail(err, status, "%s: tensor %.*s: %s (byte %" PRIu64 ")", f->name, (int)(key->size < 100 ? key->size : 100), key->text, what,
              offset);
    if (err)
        err->offset = offset;
    return status;
}

/* Reads a number of the header: decimal digits only. */
static bool natural(const struct aki__json *node, uint64_t *out)
{
    uint64_t value = 0;

    if (!aki__json_is(node, AKI_JSON_NUMBER) || node->size > 19)
        return false;
    for (uint32_t i = 0; i < node->size; i++) {
        if (node->text[i] < '0' || node->text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(node->text[i] - '0');
    }
    *out = value;
    return true;
}

/* Reads dtype and shape. *bytes: the size that they require; UINT64_MAX for an unknown dtype. */
static aki_status read_type(struct aki__tensor *t, uint64_t *bytes, const struct aki__weights_file *f,
                            const struct aki__json *key, aki_error *err)
{
    const struct aki__json *dtype = aki__json_get(key + 1, "dtype"), *shape = aki__json_get(key + 1, "shape");
    uint64_t bits = 0, count = 1, dim;

    if (!aki__json_is(dtype, AKI_JSON_STRING))
        return bad_tensor(f, key, dtype, AKI_E_INVALID, err, "dtype is missing or no string");
    t->dtype = AKI_DTYPE_OTHER;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (aki__json_equals(dtype, dtypes[i].name)) {
            t->dtype = dtypes[i].dtype;
            bits = dtypes[i].bits;
        }
    if (!aki__json_is(shape, AKI_JSON_ARRAY))
        return bad_tensor(f, key, shape, AKI_E_INVALID, err, "shape is missing or no array");
    if (shape->size > MAX_RANK)
        return bad_tensor(f, key, shape, AKI_E_UNSUPPORTED, err, "more than 8 dimensions");
    t->rank = (int)shape->size;
    const struct aki__json *e = aki__json_first(shape);
    for (int i = 0; i < t->rank; i++, e = aki__json_next(e)) {
        if (!natural(e, &dim) || dim > INT64_MAX)
            return bad_tensor(f, key, e, AKI_E_INVALID, err, "a dimension is not a whole number from 0 up");
        if (__builtin_mul_overflow(count, dim, &count))
            return bad_tensor(f, key, shape, AKI_E_INVALID, err, "the dimensions multiply beyond 64 bits");
        t->shape[i] = (int64_t)dim;
    }
    *bytes = UINT64_MAX;
    if (bits) {
        if (__builtin_mul_overflow(count, bits, &bits) || bits % 8)
            return bad_tensor(f, key, shape, AKI_E_INVALID, err, "the dimensions need no whole number of bytes, or too many");
        *bytes = bits / 8;
    }
    return AKI_OK;
}

static aki_status read_tensor(struct aki__tensor *t, struct data_range *span, const struct aki__weights_file *f,
                              const struct aki__json *key, uint64_t data_begin, aki_error *err)
{
    uint64_t bytes, begin, end;

    if (!aki__json_is(key + 1, AKI_JSON_OBJECT))
        return bad_tensor(f, key, key + 1, AKI_E_INVALID, err, "is no object");
    if (memchr(key->text, '\0', key->size))
        return bad_tensor(f, key, NULL, AKI_E_INVALID, err, "the name holds a NUL");
    aki_status rc = read_type(t, &bytes, f, key, err);
    if (rc)
        return rc;
    const struct aki__json *offsets = aki__json_get(key + 1, "data_offsets");
    if (!aki__json_is(offsets, AKI_JSON_ARRAY) || offsets->size != 2 || !natural(offsets + 1, &begin) || !natural(offsets + 2, &end))
        return bad_tensor(f, key, offsets, AKI_E_INVALID, err, "data_offsets is missing or no pair of whole numbers");
    if (begin > end || end > f->size - data_begin)
        return bad_tensor(f, key, offsets, AKI_E_INVALID, err,
                          "data_offsets are out of order or behind the file's end; is the file cut short?");
    if (bytes != UINT64_MAX && bytes != end - begin)
        return bad_tensor(f, key, offsets, AKI_E_INVALID, err, "data_offsets do not span what dtype and shape need");
    t->data = f->map.data + data_begin + begin;
    t->size = (size_t)(end - begin);
    t->map = &f->map;
    span->begin = begin;
    span->end = end;
    return AKI_OK;
}

static int compare_spans(const void *a, const void *b)
{
    const struct data_range *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The format allows neither gaps nor overlaps: the data consists of the tensors, end to end. */
static aki_status check_spans(struct aki__weights *w, const struct aki__weights_file *f, struct data_range *spans, size_t count,
                              uint64_t data_begin, aki_error *err)
{
    uint64_t at = 0;

    qsort(spans, count, sizeof *spans, compare_spans);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].begin != at) {
            aki__fail(err, AKI_E_INVALID, "%s: tensor %.100s: its data %s (byte %" PRIu64 ")", f->name, w->tensors[spans[i].tensor].name,
                      spans[i].begin < at ? "overlaps another tensor's" : "begins behind a hole", data_begin + spans[i].begin);
            if (err)
                err->offset = data_begin + spans[i].begin;
            if (!aki__weights_pass(w, AKI_E_INVALID, err))
                return AKI_E_INVALID;
        }
        at = spans[i].end;
    }
    if (at != f->size - data_begin) {
        aki__fail(err, AKI_E_INVALID, "%s: %" PRIu64 " bytes behind the last tensor (byte %" PRIu64 ")", f->name, f->size - data_begin - at,
                  data_begin + at);
        if (err)
            err->offset = data_begin + at;
        return aki__weights_pass(w, AKI_E_INVALID, err) ? AKI_OK : AKI_E_INVALID;
    }
    return AKI_OK;
}

static aki_status check_metadata(const struct aki__weights_file *f, const struct aki__json *node, aki_error *err)
{
    const struct aki__json *e = node + 1;

    if (!aki__json_is(node, AKI_JSON_OBJECT))
        return aki__fail(err, AKI_E_INVALID, "%s: __metadata__ is no object (byte %u)", f->name, 8 + node->offset);
    for (uint32_t i = 0; i < node->size; i++, e = aki__json_next(e + 1))
        if (!aki__json_is(e + 1, AKI_JSON_STRING))
            return aki__fail(err, AKI_E_INVALID, "%s: __metadata__ holds something that is no string (byte %u)", f->name,
                             8 + (e + 1)->offset);
    return AKI_OK;
}

static aki_status read_entries(struct aki__weights *w, struct aki__weights_file *f, const struct aki__json *root,
                               uint64_t data_begin, aki_error *err)
{
    aki_status rc = AKI_OK;
    const struct aki__json *key = root + 1;
    size_t names_size = 1, count = 0, faults = w->faults;
    struct data_range *spans = NULL;

    for (uint32_t i = 0; i < root->size; i++, key = aki__json_next(key + 1))
        names_size += key->size + 1;
    f->names = aki__alloc(names_size, 1);
    spans = aki__alloc(root->size, sizeof *spans);
    if (!f->names || !spans || w->count + root->size > UINT32_MAX - 1 ||
        !aki__grow((void **)&w->tensors, &w->capacity, w->count + root->size, sizeof *w->tensors)) {
        rc = aki__fail(err, AKI_E_NOMEM, "%s: the list of tensors", f->name);
        goto done;
    }
    char *name = f->names;
    key = root + 1;
    for (uint32_t i = 0; i < root->size; i++, key = aki__json_next(key + 1)) {
        if (aki__json_equals(key, "__metadata__")) {
            if ((rc = check_metadata(f, key + 1, err)) && !aki__weights_pass(w, rc, err))
                goto done;
            continue;
        }
        struct aki__tensor *t = &w->tensors[w->count];
        *t = (struct aki__tensor){ .name = name };
        if ((rc = read_tensor(t, &spans[count], f, key, data_begin, err))) {
            if (!aki__weights_pass(w, rc, err))
                goto done;
            continue;
        }
        spans[count++].tensor = w->count++;
        memcpy(name, key->text, key->size);
        name[key->size] = '\0';
        name += key->size + 1;
    }
    /* After an invalid entry, there is a gap in any case. */
    rc = w->faults > faults ? AKI_OK : check_spans(w, f, spans, count, data_begin, err);
done:
    aki__free(spans);
    return rc;
}

aki_status aki__weights_read_header(struct aki__weights *w, struct aki__weights_file *f, aki_error *err)
{
    const unsigned char *b = (const unsigned char *)f->map.data;
    struct aki__json_doc doc = { 0 };
    uint64_t header = 0;

    if (aki__is_lfs_pointer(f->map.data, (size_t)f->size))
        return aki__fail(err, AKI_E_INVALID, "%s: " AKI_LFS_POINTER, f->name);
    if (f->size < 8)
        return aki__fail(err, AKI_E_INVALID, "%s: %" PRIu64 " bytes are no safetensors file: download it again", f->name, f->size);
    for (int i = 7; i >= 0; i--)
        header = header << 8 | b[i];
    if (header > HEADER_LIMIT)
        return aki__fail(err, AKI_E_INVALID,
                         "%s: a header of %" PRIu64 " bytes (byte 0), above the format's limit of %u: not a safetensors file", f->name,
                         header, HEADER_LIMIT);
    if (header > f->size - 8)
        return aki__fail(err, AKI_E_INVALID,
                         "%s: a header of %" PRIu64 " bytes (byte 0) in a file of %" PRIu64 ": cut short, download it again", f->name,
                         header, f->size);
    if (header == 0 || b[8] != '{') {
        aki__fail(err, AKI_E_INVALID, "%s: the header is no JSON object (byte 8)", f->name);
        if (err)
            err->offset = 8;
        return AKI_E_INVALID;
    }
    aki_status rc = aki__json_parse(&doc, f->map.data + 8, (size_t)header, f->name, err);
    if (rc && err)
        err->offset += 8;
    if (!rc)
        rc = read_entries(w, f, doc.nodes, 8 + header, err);
    aki__json_free(&doc);
    return rc;
}

/* ---------------------------------------------------------------- tensors by name ------------------------------- */

const char *aki__tensor_file(const struct aki__tensor *t, uint64_t *size)
{
    *size = aki__weights_file_of(t)->size;
    return aki__weights_file_of(t)->name;
}

/* The slot of a name, or the free slot for it. */
static size_t slot_of(const struct aki__weights *w, const char *name, size_t size)
{
    size_t at = (size_t)aki__hash(name, size, w->seed) & (w->slot_count - 1);

    for (; w->slots[at]; at = (at + 1) & (w->slot_count - 1)) {
        const char *other = w->tensors[w->slots[at] - 1].name;
        if (strncmp(other, name, size) == 0 && other[size] == '\0')
            break;
    }
    return at;
}

aki_status aki__weights_index(struct aki__weights *w, aki_error *err)
{
    w->slot_count = 16;
    while (w->slot_count < w->count * 2)
        w->slot_count *= 2;
    w->slots = aki__zalloc(w->slot_count, sizeof *w->slots);
    if (!w->slots)
        return aki__fail(err, AKI_E_NOMEM, "the table of %zu tensors", w->count);
    /* The seed is an address, which differs between runs, so nobody can write a header whose names all collide. */
    w->seed = (uint64_t)(uintptr_t)w->slots;
    for (size_t i = 0; i < w->count; i++) {
        const char *name = w->tensors[i].name;
        size_t at = slot_of(w, name, strlen(name));
        if (w->slots[at]) {
            aki_status rc = aki__fail(err, AKI_E_INVALID, "%s: tensor %.100s stands there twice (also in %s)",
                                      aki__weights_file_of(&w->tensors[i])->name, name,
                                      aki__weights_file_of(&w->tensors[w->slots[at] - 1])->name);
            if (!aki__weights_pass(w, rc, err))
                return rc;
        }
        w->slots[at] = (uint32_t)(i + 1);
    }
    return AKI_OK;
}

const struct aki__tensor *aki__weights_find_sized(const struct aki__weights *w, const char *name, size_t size)
{
    uint32_t number = w->slots[slot_of(w, name, size)];

    return number ? &w->tensors[number - 1] : NULL;
}

const struct aki__tensor *aki__weights_find(const struct aki__weights *w, const char *name) { return aki__weights_find_sized(w, name, strlen(name)); }

size_t aki__weights_count(const struct aki__weights *w) { return w->count; }

const struct aki__tensor *aki__weights_at(const struct aki__weights *w, size_t i) { return &w->tensors[i]; }

const char *aki__weights_path(const struct aki__weights *w, size_t i, uint64_t *size)
{
    if (i >= w->file_count)
        return NULL;
    *size = w->files[i]->size;
    return w->files[i]->path;
}

static void write_shape(char *out, size_t size, int rank, const int64_t *dims)
{
    size_t at = 0;

    out[0] = '\0';
    for (int i = 0; i < rank && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, i ? ", %" PRId64 : "%" PRId64, dims[i]);
}

aki_status aki__weights_tensor(const struct aki__weights *w, const struct aki__tensor **out, bool maybe, const char *name, int rank,
                               const int64_t *dims, aki_error *err)
{
    const struct aki__tensor *t = aki__weights_find(w, name);
    char have[100], want[100];

    *out = NULL;
    if (!t && maybe)
        return AKI_OK;
    if (!t)
        return aki__fail(err, AKI_E_NOT_FOUND, "%s: no tensor %.100s, which the configuration asks for", w->files[0]->name, name);
    const struct aki__weights_file *f = aki__weights_file_of(t);
    if (t->dtype != AKI_F32 && t->dtype != AKI_F16 && t->dtype != AKI_BF16)
        return aki__fail(err, AKI_E_INVALID, "%s: tensor %.100s is %s; f32, f16 or bf16 is needed", f->name, name, aki__dtype_name(t->dtype));
    bool same = t->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = t->shape[i] == dims[i];
    if (!same) {
        write_shape(have, sizeof have, t->rank, t->shape);
        write_shape(want, sizeof want, rank, dims);
        return aki__fail(err, AKI_E_INVALID, "%s: tensor %.100s is [%s], the configuration asks for [%s]", f->name, name, have, want);
    }
    *out = t;
    return AKI_OK;
}
