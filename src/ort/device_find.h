/* Unit device_find: where a device is: in a plugin library that was loaded, or built into ONNX Runtime. */
#ifndef AKI_DEVICE_FIND_H
#define AKI_DEVICE_FIND_H

#include "ort/device_rules.h"

enum { AKI_DEVICE_TEXT = 200 };              /* bytes of a reason, with its NUL */

/* Neither: ONNX Runtime's own kernels for processors. */
struct aki__device_found {
    const OrtEpDevice *device;              /* a plugin's, which comes first because it was asked for, or one that no provider has built in; or NULL */
    char provider[AKI_DEVICE_NAME];         /* else the provider's name in this build; or "" */
    char reason[AKI_DEVICE_TEXT];           /* why it is not there; "": it is */
};
/* false: it cannot be used; out->reason says why. Any thread. */
bool aki__device_find(const struct aki__runtime *rt, const char *name, struct aki__device_found *out);

/* Holds the list of plugins, and of the devices in them, as it is meanwhile. */
void aki__device_list_take(void);
void aki__device_list_drop(void);
/* The plugins that were loaded, while the list is held. false: there is no i-th. */
bool aki__device_plugin_at(size_t i, const char **name, const char **path);

#endif
