/* Unit allocator: keeps and reuses the big blocks of runs. See allocator.h. */
#include "ort/allocator.h"

#include "base/os.h"

#include <onnxruntime_c_api.h>

enum {
    HEADER = 64,                /* before every block: its struct block, and the alignment of what follows */
    SMALL = 32 * 1024,          /* below this malloc is as good */
    MOST_KEPT = 256,
    REGION = 32 << 20
};

/* Weights that ONNX Runtime has packed for itself lie together, so that they can be in huge pages: a short text waits for all of them to be read. */
struct region { size_t used, blocks; };         /* bytes handed out, this header with them; those not given back. The last one gives back the region */

/* size: usable bytes. in, borrowed: of a region, or from ONNX Runtime's own allocator; else alone. */
struct block { size_t size; struct region *in; bool borrowed; };

static struct {
    OrtAllocator base;
    OrtAllocator *last_resort;
    const OrtMemoryInfo *info;
    struct aki__lock lock;      /* guards the rest; held for a scan of `kept` at most, or while memory is asked for */
    struct region *region;      /* the newest, of REGION bytes, that has room; NULL: none */
    struct block *kept[MOST_KEPT];      /* given back, oldest first */
    size_t kept_count, kept_size, used_size, most_used;
} pool;

static void drop_oldest(void)
{
    struct block *b = pool.kept[0];

    pool.kept_size -= b->size;
    memmove(pool.kept, pool.kept + 1, --pool.kept_count * sizeof *pool.kept);
    aki__free_aligned(b);
}

/* The smallest kept block that fits, unless it wastes more than half. */
static struct block *take_kept(size_t size)
{
    size_t best = MOST_KEPT;

    for (size_t i = 0; i < pool.kept_count; i++)
        if (pool.kept[i]->size >= size && pool.kept[i]->size / 2 <= size && (best == MOST_KEPT || pool.kept[i]->size < pool.kept[best]->size))
            best = i;
    if (best == MOST_KEPT)
        return NULL;
    struct block *b = pool.kept[best];
    pool.kept_size -= b->size;
    memmove(pool.kept + best, pool.kept + best + 1, (--pool.kept_count - best) * sizeof *pool.kept);
    return b;
}

void *aki__allocator_take(size_t size)
{
    struct block *b = NULL;

    if (!size)
        return NULL;
    if (size >= SMALL) {
        aki__lock_acquire(&pool.lock);
        b = take_kept(size);
        if (!b) {
            /* Make room first: what is kept and in use together stays within a quarter above the most ever in use. */
            size_t most = pool.used_size + size > pool.most_used ? pool.used_size + size : pool.most_used;
            while (pool.kept_count && pool.kept_size + pool.used_size + size > most + most / 4)
                drop_oldest();
        }
        pool.used_size += b ? b->size : size;
        if (pool.used_size > pool.most_used)
            pool.most_used = pool.used_size;
        aki__lock_release(&pool.lock);
    }
    if (!b) {
        size_t bytes;
        b = aki__add(size, HEADER, &bytes) ? aki__alloc_aligned(bytes, 1) : NULL;
        if (b) {
            *b = (struct block){ .size = size };
        } else if (size >= SMALL) {
            aki__lock_acquire(&pool.lock);
            pool.used_size -= size;
            aki__lock_release(&pool.lock);
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
    if (b->size < SMALL) {
        aki__free_aligned(b);
        return;
    }
    aki__lock_acquire(&pool.lock);
    pool.used_size -= b->size;
    if (pool.kept_count == MOST_KEPT)
        drop_oldest();
    pool.kept[pool.kept_count++] = b;
    pool.kept_size += b->size;
    aki__lock_release(&pool.lock);
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
