/* Unit naming: which model a name means. See naming.h. */
#include "naming.h"

#include <string.h>
#include <strings.h>

typedef int compare_fn(const char *a, const char *b, size_t size);

/* Ollama's clients write "name:latest" for a name without a tag. */
static bool is_name(const char *ours, const char *name, compare_fn *compare)
{
    size_t size = ours ? strlen(ours) : 0;

    return ours && !compare(ours, name, size) && (!name[size] || !strcmp(name + size, ":latest"));
}

static bool is_model(const struct server_model *m, const char *name, bool also, compare_fn *compare)
{
    bool found = is_name(m->name, name, compare);

    for (int i = 0; i < SERVER_ALSO && also; i++)
        found |= is_name(m->also[i], name, compare);
    return found;
}

/* The only model that answers to the name: two of them are none. */
static struct served *find_only(struct server *s, const char *name, bool also, compare_fn *compare)
{
    struct served *found = NULL;

    for (size_t i = 0; i < s->o->model_count; i++) {
        if (!is_model(&s->o->models[i], name, also, compare))
            continue;
        if (found)
            return NULL;
        found = &s->models[i];
    }
    return found;
}

struct served *find_model(struct server *s, const char *name, bool any_case)
{
    compare_fn *compare = any_case ? strncasecmp : strncmp;
    struct served *found = NULL;

    if (name && !(found = find_only(s, name, false, strncmp)) && !(found = find_only(s, name, false, compare)))
        found = find_only(s, name, true, compare);
    return found || (name && !s->o->any_model) ? found : &s->models[0];
}
