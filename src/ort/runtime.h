/* Unit runtime: ONNX Runtime in this process: its version, its one environment, its errors.
 * Only files of ort/ include this header; it is where ONNX Runtime's types end. */
#ifndef AKI_RUNTIME_H
#define AKI_RUNTIME_H

#include "base/base.h"

#include <onnxruntime_c_api.h>

/* The lowest API version that has all that is used here (ONNX Runtime 1.23). */
#define AKI_ORT_API 23

struct aki__runtime {
    const OrtApi            *api;
    const OrtApi            *newer;         /* of version 1.24, which tells where nodes went; NULL where the library is older */
    const OrtModelEditorApi *editor;
    OrtEnv                  *env;
    OrtMemoryInfo           *cpu;
    int                      threads;       /* of each session's pool; fixed by the first open, 0 before it */
    char                     version[32];   /* "1.32.0" */
};

/* The process's runtime, made by the first call. threads: 0: the cores allowed; -1: whatever an open will say. Another number of threads than
 * an earlier open's is INVALID. Errors: UNAVAILABLE (too old or broken library: says which version was found). Never freed: ONNX Runtime
 * keeps one environment a process. Thread-safe. */
aki_status aki__runtime_get(const struct aki__runtime **out, int threads, aki_error *err);

/* Threads that a session of these options makes for itself are made as the library's own are: no handler of the host's runs on one. */
OrtStatus *aki__ort_own_threads(const struct aki__runtime *rt, OrtSessionOptions *options);

/* Turns a status of ONNX Runtime into ours and releases it. AKI_OK where status is NULL. */
aki_status aki__ort_status(const struct aki__runtime *rt, OrtStatus *status, const char *what, aki_error *err);

#endif
