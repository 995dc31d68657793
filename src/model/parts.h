/* Unit model, inside: the steps by which model.c puts a description together. */
#ifndef AKI_MODEL_PARTS_H
#define AKI_MODEL_PARTS_H

#include "model/family.h"

/* config.json, by the row of its family. */
aki_status aki__config_read(struct aki__model *m, aki_error *err);
/* The same for a network of its own: sizes, under any of their names, where there are any; m->hidden, where known, must agree. */
aki_status aki__config_read_sizes(struct aki__model *m, aki_error *err);
/* All of a folder whose network is an .onnx file. */
aki_status aki__onnx_describe(struct aki__model *m, const char *file, const struct aki__onnx_facts *facts, aki_error *err);
/* m->tokenizer. */
aki_status aki__tokenizer_config_read(struct aki__model *m, aki_error *err);
/* modules.json and what it names. *found: there is one. After aki__config_read. */
aki_status aki__modules_read(struct aki__model *m, bool *found, aki_error *err);
/* Refuses a modules.json whose transformer is in a subfolder, as UNSUPPORTED. Before aki__config_read, which would miss its file. */
aki_status aki__modules_in_place(struct aki__model *m, aki_error *err);
/* The same, the prompts, and the limit of tokens. After aki__config_read. */
aki_status aki__sentence_read(struct aki__model *m, aki_error *err);

/* folder/part + "model.safetensors" or the index of its shards; part is "" or a subfolder with its slash.
 * report: of all errors, or NULL. */
aki_status aki__weights_open_in(struct aki__weights **out, const char *folder, const char *part, struct aki__report *report, aki_error *err);
/* The file that a tensor lies in, its path from the folder on. */
const char *aki__tensor_file(const struct aki__tensor *t, uint64_t *size);
/* The i-th file that was read (index included), NULL behind the last. */
const char *aki__weights_path(const struct aki__weights *w, size_t i, uint64_t *size);
/* The tensor of this exact name, of these dims and of dtype f32, f16 or bf16. Where there is none: NOT_FOUND, or *out = NULL if maybe. */
aki_status aki__weights_tensor(const struct aki__weights *w, const struct aki__tensor **out, bool maybe, const char *name, int rank,
                               const int64_t *dims, aki_error *err);

#endif
