/* Unit json: JSON files: the reader of util/json.h, with errors that name the file. */
#ifndef AKI_JSON_H
#define AKI_JSON_H

#include "base/base.h"
#include "util/json.h"

/* text: as aki__json_read takes it; name: the file's, for messages.
 * Errors: INVALID with name and byte; NOMEM. The doc is valid to free either way. */
aki_status aki__json_parse(struct aki__json_doc *doc, const char *text, size_t size, const char *name, aki_error *err);
/* The same for a file with a vocabulary, see AKI_JSON_VOCABULARY. */
aki_status aki__json_parse_vocabulary(struct aki__json_doc *doc, const char *text, size_t size, const char *name, aki_error *err);

#endif
