/* Unit allocator: keeps and reuses the big blocks of runs. See allocator.h. */
#include "ort/allocator.h"

#include "base/os.h"

#include <onnxruntime_c_api.h>

enum {
    HEADER = 64,                /* before every block: its struct block, and the alignment of what follows */
    SMALL = 32 * 1024,          /* below this malloc is as good */
    LARGE = 2 << 20,            /* above this all threads share a shelf */
    MOST_KEPT = 256,
    SHELVES = 65,
    REGION = 32 << 20
};

/* Weights that ONNX Runtime has packed for itself lie together, so that they can be in huge pages: a short text waits for all of them to be read. */
struct region { size_t used, blocks; };         /* bytes handed out, this header with them; those not given back. The last one gives back the region */

/* size: usable bytes. in, borrowed: of a region, or from ONNX Runtime's own allocator; else alone. shelf: where it is given back to. */
struct block { size_t size; struct region *in; struct shelf *shelf; bool borrowed; };

/* A run takes and gives back a block some hundred times a millisecond: threads that compute runs side by side would queue for one lock. So each finds a
 * shelf that nobody else is at: it stays with the one it was at last, and goes on to the next where it meets another thread. One thread after the
 * other uses the same one. Large blocks, of long texts, are seldom; they would be kept once for each thread. */
struct shelf {
    _Alignas(HEADER) struct aki__lock lock;     /* guards the rest; held for a scan of `kept` at most, or while memory is given back */
    struct block *kept[MOST_KEPT];      /* given back, oldest first */
    size_t kept_count, kept_size, used_size, most_used;
};

static struct shelf shelves[SHELVES];   /* the first is for large blocks */

static struct {
    OrtAllocator base;
    OrtAllocator *last_resort;
    const OrtMemoryInfo *info;
    struct aki__lock lock;      /* guards regions */
    struct region *region;      /* the newest, of REGION bytes, that has room; NULL: none */
} pool;

/* Comes back with the shelf's lock. */
static struct shelf *find_shelf(size_t size)
{
    static _Thread_local size_t at;

    for (size_t tries = 1; tries < SHELVES && size <= LARGE; tries++) {
        if (aki__lock_try(&shelves[1 + at].lock))
            return &shelves[1 + at];
        at = (at + 1) % (SHELVES - 1);
    }
    struct shelf *s = &shelves[size <= LARGE ? 1 + at : 0];
    aki__lock_acquire(&s->lock);
    return s;
}

static void drop_oldest(struct shelf *s)
{
    struct block *b = s->kept[0];

    s->kept_size -= b->size;
    memmove(s->kept, s->kept + 1, --s->kept_count * sizeof *s->kept);
    aki__free_aligned(b);
}

/* The smallest kept block that fits, unless it wastes more than half. */
static struct block *take_kept(struct shelf *s, size_t size)
{
    size_t best = MOST_KEPT;

    for (size_t i = 0; i < s->kept_count; i++)
        if (s->kept[i]->size >= size && s->kept[i]->size / 2 <= size && (best == MOST_KEPT || s->kept[i]->size < s->kept[best]->size))
            best = i;
    if (best == MOST_KEPT)
        return NULL;
    struct block *b = s->kept[best];
    s->kept_size -= b->size;
    memmove(s->kept + best, s->kept + best + 1, (--s->kept_count - best) * sizeof *s->kept);
    return b;
}

/* NULL: none fits, and room was made for another one. */
static struct block *take_from_shelf(struct shelf *s, size_t size)
{
    struct block *b = take_kept(s, size);

    if (!b) {
        /* What is kept and in use together stays within a quarter above the most ever in use. */
        size_t most = s->used_size + size > s->most_used ? s->used_size + size : s->most_used;
        while (s->kept_count && s->kept_size + s->used_size + size > most + most / 4)
            drop_oldest(s);
    }
    s->used_size += b ? b->size : size;
    if (s->used_size > s->most_used)
        s->most_used = s->used_size;
    aki__lock_release(&s->lock);
    return b;
}

void *aki__allocator_take(size_t size)
{
    struct shelf *s = size >= SMALL ? find_shelf(size) : NULL;
    struct block *b = s ? take_from_shelf(s, size) : NULL;

    if (!size)
        return NULL;
    if (!b) {
        size_t bytes;
        b = aki__add(size, HEADER, &bytes) ? aki__alloc_aligned(bytes, 1) : NULL;
        if (b) {
            *b = (struct block){ .size = size, .shelf = s };
        } else if (s) {
            aki__lock_acquire(&s->lock);
            s->used_size -= size;
            aki__lock_release(&s->lock);
        }
    }
    return b ? (char *)b + HEADER : NULL;
}

/* In the newest region, or one made for it. NULL: no memory. */
static struct block *take_of_region(size_t bytes)
{
    if (!pool.region || REGION - pool.region->used < bytes) {
        struct region *r = aki__alloc_aligned(REGION, 1);
        if (!r)
            return NULL;
        aki__prefer_huge_pages(r, REGION);
        *r = (struct region){ .used = HEADER };
        pool.region = r;
    }
    struct block *b = (struct block *)(void *)((char *)pool.region + pool.region->used);
    *b = (struct block){ .in = pool.region };
    pool.region->used += bytes;
    pool.region->blocks++;
    return b;
}

static void give_to_region(struct region *r)
{
    aki__lock_acquire(&pool.lock);
    bool last = --r->blocks == 0;
    if (last && pool.region == r)
        pool.region = NULL;
    aki__lock_release(&pool.lock);
    if (last)
        aki__free_aligned(r);
}

void *aki__allocator_reserve(size_t size)
{
    struct block *b;

    if (!size || size > REGION - 3 * HEADER)
        return NULL;
    aki__lock_acquire(&pool.lock);
    b = take_of_region((HEADER + size + HEADER - 1) & ~(size_t)(HEADER - 1));
    aki__lock_release(&pool.lock);
    return b ? (char *)b + HEADER : NULL;
}

void aki__allocator_give(void *data)
{
    struct block *b = data ? (struct block *)(void *)((char *)data - HEADER) : NULL;

    if (!b)
        return;
    if (b->in) {
        give_to_region(b->in);
        return;
    }
    if (b->borrowed) {
        pool.last_resort->Free(pool.last_resort, b);
        return;
    }
    struct shelf *s = b->shelf;
    if (!s) {
        aki__free_aligned(b);
        return;
    }
    aki__lock_acquire(&s->lock);
    s->used_size -= b->size;
    if (s->kept_count == MOST_KEPT)
        drop_oldest(s);
    s->kept[s->kept_count++] = b;
    s->kept_size += b->size;
    aki__lock_release(&s->lock);
}

/* ONNX Runtime takes NULL for memory and writes there. Its own allocator fails by a C++ exception, which its API turns into a status.
 * Nothing here can throw one, so that allocator is asked where ours has nothing left: it throws through this function, which holds
 * nothing, or finds memory after all. */
static void *pool_alloc(OrtAllocator *self, size_t size)
{
    void *data = aki__allocator_take(size);
    size_t bytes;

    (void)self;
    if (data || !size)
        return data;
    struct block *b = pool.last_resort->Alloc(pool.last_resort, aki__add(size, HEADER, &bytes) ? bytes : SIZE_MAX);
    if (!b)
        return NULL;
    *b = (struct block){ .size = size, .borrowed = true };
    return (char *)b + HEADER;
}

static void *pool_reserve(OrtAllocator *self, size_t size)
{
    void *data = aki__allocator_reserve(size);

    return data ? data : pool_alloc(self, size);
}

static void pool_free(OrtAllocator *self, void *data)
{
    (void)self;
    aki__allocator_give(data);
}

static const OrtMemoryInfo *pool_info(const OrtAllocator *self)
{
    (void)self;
    return pool.info;
}

OrtStatus *aki__allocator_register(const OrtApi *api, uint32_t version, OrtEnv *env)
{
    OrtMemoryInfo *info = NULL;

    OrtStatus *st = api->CreateMemoryInfo("Cpu", OrtDeviceAllocator, 0, OrtMemTypeDefault, &info);
    if (!st) st = api->GetAllocatorWithDefaultOptions(&pool.last_resort);
    if (st)
        return st;
    pool.base = (OrtAllocator){ .version = version, .Alloc = pool_alloc, .Free = pool_free, .Info = pool_info, .Reserve = pool_reserve };
    pool.info = info;
    return api->RegisterAllocator(env, &pool.base);
}
