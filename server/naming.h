/* Unit naming: which model a name means. */
#ifndef AKI_SERVER_NAMING_H
#define AKI_SERVER_NAMING_H

#include "exchange.h"

/* The model that answers to a name (NULL: the first); a model's own name goes before what others answer to besides. NULL: none does, or
 * two do. any_case: small letters are not told from capitals, as Ollama does not. */
struct served *find_model(struct server *s, const char *name, bool any_case);

#endif
