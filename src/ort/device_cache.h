/* Unit device_cache: the folders in which a device keeps the programs that it compiled, one for each graph and its settings, among the user's caches.
 *
 *     coreml/KEY/           what the provider writes: it takes any folder that is there for a finished program, and knows no locks
 *     coreml/KEY/complete   the folder's bytes; written last, so that a folder without it is what a killed process has left
 *     coreml/KEY.lock       held alone by who compiles, shared by sessions that use the program, and so by nobody else's leave when it is removed
 *
 * All folders together stay below a ceiling: those that were not used for longest go first. */
#ifndef AKI_DEVICE_CACHE_H
#define AKI_DEVICE_CACHE_H

#include "base/os_files.h"

#define AKI_DEVICE_CACHE_MOST ((uint64_t)16 << 30)     /* bytes */

/* Of one session. Zeroed: it has none. */
struct aki__device_cache { char *folder; struct aki__file_lock lock; bool whole; /* it was there already */ };

/* Waits while another process compiles the same. false: there is no place, or no lock; the device does without. */
bool aki__device_cache_open(struct aki__device_cache *c, const char *key);
/* After the session was made, or was not: what failed is removed. true: it was there already and is not any more, so that another try may compile it. */
bool aki__device_cache_finish(struct aki__device_cache *c, bool made);
/* After the session has ended. */
void aki__device_cache_close(struct aki__device_cache *c);

/* The folder of all of them, to be freed with aki__free (NULL: none), what is whole in it, and its bytes. */
char *aki__device_cache_look(int *programs, uint64_t *size);
/* Removes what no session uses. Adds the bytes to *freed; answers how many are in use. */
int   aki__device_cache_clear(uint64_t *freed);

#endif
