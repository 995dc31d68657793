/* Unit keys: the API keys of a file, one a line; compared in a time that tells nothing of them. */
#ifndef AKI_SERVER_KEYS_H
#define AKI_SERVER_KEYS_H

#include <stdbool.h>
#include <stddef.h>

/* Reads the file (empty lines and lines that begin with # are none) in place of the keys so far. false: problem says why, and the old
 * keys stay. A file without a key is refused: it would mean anyone. Any thread may check at the same time. */
bool keys_read(const char *path, char *problem, size_t size);
/* True where key is one of them. */
bool keys_check(const char *key);
void keys_forget(void);

#endif
