/* Unit names: the words for what akiembed.h numbers, and the names of the files that a model is opened from. */
#ifndef AKI_UTIL_NAMES_H
#define AKI_UTIL_NAMES_H

#include <stddef.h>

/* In the order of the numbers, from 1 on; AKI_..._CHOICES is "a|b|c", as tables of options and members have it. */
#define AKI_POOLINGS(EACH)   EACH("cls") EACH("mean") EACH("max") EACH("mean_sqrt_len") EACH("weightedmean") EACH("last")
#define AKI_PRECISIONS(EACH) EACH("f32") EACH("int8") EACH("f16") EACH("bf16")
#define AKI_KINDS(EACH)      EACH("query") EACH("document")

#define AKI_AS_CHOICE(name)   "|" name
#define AKI_POOLING_CHOICES   (&(AKI_POOLINGS(AKI_AS_CHOICE))[1])
#define AKI_PRECISION_CHOICES (&(AKI_PRECISIONS(AKI_AS_CHOICE))[1])
#define AKI_KIND_CHOICES      (&(AKI_KINDS(AKI_AS_CHOICE))[1])

/* "default" for 0, "unknown" for what is no number of theirs. */
const char *aki__pooling_name(int pooling);
const char *aki__precision_name(int precision);

/* What sentence-transformers calls the file with a model's max_seq_length: the first of them that is there counts. */
#define AKI_SENTENCE_FILES 4
extern const char *const aki__sentence_files[AKI_SENTENCE_FILES];
/* The JSON in a model's folder that opening it reads; without the first AKI_NEEDED_FILES nothing is a model. Those that modules.json and an index
 * of weights name come on top. */
#define AKI_NEEDED_FILES 2
#define AKI_JSON_FILES   (6 + AKI_SENTENCE_FILES)
extern const char *const aki__json_files[AKI_JSON_FILES];

#endif
