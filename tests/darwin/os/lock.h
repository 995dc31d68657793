/* macOS' lock of four bytes, whose initialiser is zero. A thread that takes it twice, or lets go what another one holds, ends the process. */
#ifndef AKI_TEST_DARWIN_OS_LOCK_H
#define AKI_TEST_DARWIN_OS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct os_unfair_lock_s { _Atomic uint32_t owner; } os_unfair_lock, *os_unfair_lock_t;

void os_unfair_lock_lock(os_unfair_lock_t lock);
bool os_unfair_lock_trylock(os_unfair_lock_t lock);
void os_unfair_lock_unlock(os_unfair_lock_t lock);

#endif
