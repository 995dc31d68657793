/* Unit verify_texts: the texts that `verify` has built in. */
#ifndef AKI_CLI_VERIFY_TEXTS_H
#define AKI_CLI_VERIFY_TEXTS_H

#include <stddef.h>

extern const char *const verify_texts[];   /* UTF-8; one of them is empty */
extern const size_t verify_text_count;

#endif
