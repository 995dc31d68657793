/* Unit device: what this ONNX Runtime can compute on besides its own processors' kernels: its providers, and those of plugin libraries. */
#ifndef AKI_DEVICE_H
#define AKI_DEVICE_H

#include "base/base.h"

/* A device that was chosen, with its settings; all borrowed. */
struct aki__device {
    const char         *name;               /* "coreml", "openvino" …, or "portable": the padded graph on the cpu, to compare devices with */
    const char *const  *options;            /* [option_count] "KEY=VALUE" */
    int                 option_count;
    int                 set;                /* which of the option sets that are tried in turn: below aki__device_sets */
};

/* Everything there is a name for. Entries stay where they are once listed; loading a plugin adds some at the end.
 * *devices: [*count], valid until the process ends. */
aki_status aki__devices(const aki_device **devices, size_t *count, aki_error *err);

/* Loads a provider library, once a process. what: "PATH", or "NAME=PATH" to register it by that name. UNAVAILABLE: it could not be loaded. */
aki_status aki__device_plugin(const char *what, aki_error *err);

struct aki__device_cache;
struct aki__runtime;
struct OrtSession;

/* Where a session's nodes went. */
struct aki__device_nodes { int on_device, elsewhere, partitions; };     /* elsewhere -1: not known; partitions 0: not known */

/* Whether it wants a session for each shape. */
bool aki__device_is_fixed(const struct aki__device *d);

/* Some devices have option sets that are tried in turn until one passes the self-test, unless the caller set one of their keys. At least 1. */
int  aki__device_sets(const struct aki__device *d);
/* d->set as "KEY=VALUE KEY=VALUE"; "" where the device has none. */
void aki__device_set_name(const struct aki__device *d, char *out, size_t size);

/* Appends all that what the device computes depends on besides the model, as far as it can be told: ONNX Runtime's build, the system, the
 * device's settings, the hardware, versions and drivers that ONNX Runtime tells of, plugin libraries. false: no memory. */
bool aki__device_identity(struct aki__buf *out, const struct aki__device *d);

/* A session for a ModelProto on the device, by the device's rules. cache: what it keeps on the disk, to be closed after the session's end. UNAVAILABLE:
 * the device, or a setting of it. */
aki_status aki__device_session(struct OrtSession **out, struct aki__device_nodes *nodes, struct aki__device_cache *cache, const struct aki__runtime *rt,
                               const struct aki__device *d, const void *bytes, size_t size, aki_error *err);

/* UNAVAILABLE, with the version that is needed, where this ONNX Runtime takes no half precision to the device. */
aki_status aki__device_check_f16(const struct aki__device *d, aki_error *err);

/* UNAVAILABLE, with the reason and what is available, where the device cannot be used. */
aki_status aki__device_check(const struct aki__device *d, aki_error *err);

#endif
