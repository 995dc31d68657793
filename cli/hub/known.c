/* Unit known: the table of known models. See known.h. */
#include "known.h"

#include <string.h>
#include <strings.h>

/* Repositories with safetensors and tokenizer.json, of architectures that are implemented. The first one is the default. */
const struct known known_models[] = {
    { "qwen3-0.6b",      "Qwen/Qwen3-Embedding-0.6B",                                    "main", "Apache-2.0", 1024 },
    { "qwen3-4b",        "Qwen/Qwen3-Embedding-4B",                                      "main", "Apache-2.0", 2560 },
    { "qwen3-8b",        "Qwen/Qwen3-Embedding-8B",                                      "main", "Apache-2.0", 4096 },
    { "minilm",          "sentence-transformers/all-MiniLM-L6-v2",                       "main", "Apache-2.0", 384 },
    { "minilm-l12",      "sentence-transformers/all-MiniLM-L12-v2",                      "main", "Apache-2.0", 384 },
    { "minilm-multi",    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",  "main", "Apache-2.0", 384 },
    { "bge-small",       "BAAI/bge-small-en-v1.5",                                       "main", "MIT",        384 },
    { "bge-base",        "BAAI/bge-base-en-v1.5",                                        "main", "MIT",        768 },
    { "bge-large",       "BAAI/bge-large-en-v1.5",                                       "main", "MIT",        1024 },
    { "e5-small",        "intfloat/e5-small-v2",                                         "main", "MIT",        384 },
    { "e5-base",         "intfloat/e5-base-v2",                                          "main", "MIT",        768 },
    { "e5-large",        "intfloat/e5-large-v2",                                         "main", "MIT",        1024 },
    { "e5-multi-small",  "intfloat/multilingual-e5-small",                               "main", "MIT",        384 },
    { "e5-multi-base",   "intfloat/multilingual-e5-base",                                "main", "MIT",        768 },
    { "e5-multi-large",  "intfloat/multilingual-e5-large",                               "main", "MIT",        1024 },
    { "gte-small",       "thenlper/gte-small",                                           "main", "MIT",        384 },
    { "gte-base",        "thenlper/gte-base",                                            "main", "MIT",        768 },
    { "gte-large",       "thenlper/gte-large",                                           "main", "MIT",        1024 },
    { "mxbai-large",     "mixedbread-ai/mxbai-embed-large-v1",                           "main", "Apache-2.0", 1024 },
    { "arctic-xs",       "Snowflake/snowflake-arctic-embed-xs",                          "main", "Apache-2.0", 384 },
    { "arctic-m",        "Snowflake/snowflake-arctic-embed-m",                           "main", "Apache-2.0", 768 },
};
const size_t known_count = sizeof known_models / sizeof *known_models;

const struct known *known_find(const char *name)
{
    for (size_t i = 0; i < known_count; i++) {
        const struct known *k = &known_models[i];
        if (!strcasecmp(k->alias, name) || !strcasecmp(k->name, name) || !strcasecmp(strchr(k->name, '/') + 1, name))
            return k;
    }
    return NULL;
}
