/* A task's resident memory, as macOS tells it. */
#ifndef AKI_TEST_DARWIN_MACH_H
#define AKI_TEST_DARWIN_MACH_H

#include <stdint.h>

typedef struct { uint64_t virtual_size, resident_size; } mach_task_basic_info_data_t;
typedef unsigned mach_msg_type_number_t;
typedef int *task_info_t;

enum { MACH_TASK_BASIC_INFO = 20, MACH_TASK_BASIC_INFO_COUNT = sizeof(mach_task_basic_info_data_t) / sizeof(int), KERN_SUCCESS = 0 };

unsigned mach_task_self(void);
int      task_info(unsigned task, int kind, task_info_t out, mach_msg_type_number_t *count);

#endif
