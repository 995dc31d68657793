/* Unit names: see names.h. */
#include "util/names.h"

#include "akiembed.h"

#define AS_ITEM(name) name,

static const char *const poolings[] = { "default", AKI_POOLINGS(AS_ITEM) };
static const char *const precisions[] = { "default", AKI_PRECISIONS(AS_ITEM) };

_Static_assert(sizeof poolings / sizeof *poolings == AKI_POOLING_LAST + 1 && AKI_POOLING_MEAN == 2, "a name for each pooling, in order");
_Static_assert(sizeof precisions / sizeof *precisions == AKI_PRECISION_BF16 + 1 && AKI_PRECISION_INT8 == 2, "a name for each precision, in order");
_Static_assert(AKI_KIND_QUERY == 1 && AKI_KIND_DOCUMENT == 2, "kinds, in order");

const char *aki__pooling_name(int pooling)
{
    return pooling >= 0 && pooling <= AKI_POOLING_LAST ? poolings[pooling] : "unknown";
}

const char *aki__precision_name(int precision)
{
    return precision >= 0 && precision <= AKI_PRECISION_BF16 ? precisions[precision] : "unknown";
}

#define SENTENCE_FILES "sentence_bert_config.json", "sentence_roberta_config.json", "sentence_camembert_config.json", "sentence_xlm-roberta_config.json"

const char *const aki__sentence_files[AKI_SENTENCE_FILES] = { SENTENCE_FILES };

const char *const aki__json_files[AKI_JSON_FILES] = {
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "modules.json", "config_sentence_transformers.json", SENTENCE_FILES,
};
