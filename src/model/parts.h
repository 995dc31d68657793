/* Unit model, inside: the steps in which model.c builds a description. */
#ifndef AKI_MODEL_PARTS_H
#define AKI_MODEL_PARTS_H

#include "model/family.h"

/* Reads config.json with the row of its family. */
aki_status aki__config_read(struct aki__model *m, aki_error *err);
/* Reads config.json for an .onnx file: the sizes that it has, under any of their names. m->hidden, if known, must agree. */
aki_status aki__config_read_sizes(struct aki__model *m, aki_error *err);
/* Reads the whole description of a folder whose network is an .onnx file. */
aki_status aki__onnx_describe(struct aki__model *m, const char *file, const struct aki__onnx_facts *facts, aki_error *err);
/* Reads m->labels, if the folder is a sequence classifier. After aki__config_read. UNSUPPORTED: it has another head than can be computed. */
aki_status aki__labels_read(struct aki__model *m, aki_error *err);
/* Reads m->tokenizer. */
aki_status aki__tokenizer_config_read(struct aki__model *m, aki_error *err);
/* Reads modules.json and the files that it names. *found: there is one. After aki__config_read. */
aki_status aki__modules_read(struct aki__model *m, bool *found, aki_error *err);
/* UNSUPPORTED: the transformer of modules.json is in a subfolder. Before aki__config_read, which would not find its file. */
aki_status aki__modules_in_place(struct aki__model *m, aki_error *err);
/* Reads modules.json, the prompts, and the limit of tokens. After aki__config_read. */
aki_status aki__sentence_read(struct aki__model *m, aki_error *err);

/* Opens folder/part + "model.safetensors", or the index of its shards; part is "" or a subfolder with its slash.
 * report: of all errors, or NULL. */
aki_status aki__weights_open_in(struct aki__weights **out, const char *folder, const char *part, struct aki__report *report,
                                aki_error *err);
/* The file of a tensor, relative to the folder; *size: its bytes. */
const char *aki__tensor_file(const struct aki__tensor *t, uint64_t *size);
/* The i-th file that was read, the index included; NULL: there are no more. */
const char *aki__weights_path(const struct aki__weights *w, size_t i, uint64_t *size);
/* Finds the tensor with this exact name and these dims, of dtype f32, f16 or bf16. If there is none: NOT_FOUND, or with `maybe`
 * *out is NULL. */
aki_status aki__weights_tensor(const struct aki__weights *w, const struct aki__tensor **out, bool maybe, const char *name, int rank,
                               const int64_t *dims, aki_error *err);

#endif
