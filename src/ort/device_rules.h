/* Unit device_rules: what is known of providers beforehand, and what a device's sessions are told: the provider's settings, an option set, the
 * caller's options, the later before the earlier. */
#ifndef AKI_DEVICE_RULES_H
#define AKI_DEVICE_RULES_H

#include "ort/device.h"
#include "ort/runtime.h"

enum { AKI_DEVICE_NAME = 64, AKI_DEVICE_SETTINGS = 32 };     /* bytes of a name, with its NUL; settings of a session */

struct aki__device_rule {
    const char *name;
    const char *provider;                   /* as ONNX Runtime lists it; NULL: its own kernels for processors (with a name) */
    const char *append;                     /* as the call wants it; NULL: a call of its own */
    const char *description;
    bool        fixed;                      /* shapes */
    bool        plain_memory;               /* no memory pattern */
    GraphOptimizationLevel level;           /* beyond BASIC, ONNX Runtime makes operators that only its own kernels have */
    const char *settings[6][2];
    const char *sets[4][3];                 /* "KEY=VALUE" that are taken together, tried in turn until the self-test is passed */
    bool        compiles;                   /* a program for each shape, kept in files (device_cache.h); of free shapes it leaves parts to the cpu */
    int         f16_since;                  /* ONNX Runtime 1.x takes half precision to it from this x on; 0: any does */
};

/* The rule of that name. A device without one is taken as it comes, by a rule whose name is NULL. */
const struct aki__device_rule *aki__device_rule_of(const char *name);
/* One after the other; NULL: there are no more. */
const struct aki__device_rule *aki__device_rule_at(size_t i);

/* Names of devices, whatever their case. */
bool aki__device_same(const char *a, const char *b);
/* "WebGpuExecutionProvider" is also called "webgpu". */
bool aki__device_is_called(const char *provider, const char *name);

/* The value of an option that the caller gave; NULL: none. */
const char *aki__device_option(const struct aki__device *d, const char *key);
/* false: this version of ONNX Runtime ("1.32.0") takes no half precision to the device. */
bool aki__device_takes_f16(const struct aki__device_rule *rule, const char *version);
/* INVALID: an option that is not KEY=VALUE, not known, or not for this device. */
aki_status aki__device_check_options(const struct aki__device *d, aki_error *err);

/* What the provider is given. Values are borrowed of the rule and of d. */
struct aki__device_settings {
    const char *keys[AKI_DEVICE_SETTINGS], *values[AKI_DEVICE_SETTINGS];
    char        own[AKI_DEVICE_SETTINGS][AKI_DEVICE_NAME];      /* the keys' bytes */
    size_t      count;
};
void aki__device_collect(struct aki__device_settings *s, const struct aki__device *d);
void aki__device_set(struct aki__device_settings *s, const char *key, const char *value);

#endif
