/* Unit http: exchanges on libmicrohttpd's connections: the functions that it calls, for the daemon that is set up in server.c. */
#ifndef AKI_SERVER_HTTP_H
#define AKI_SERVER_HTTP_H

#include "exchange.h"

#include <microhttpd.h>

void *http_begin(void *user, const char *uri, struct MHD_Connection *c);
enum MHD_Result http_access(void *user, struct MHD_Connection *c, const char *path, const char *method, const char *version, const char *data,
                            size_t *size, void **context);
void http_end(void *user, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why);
void http_connection(void *user, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what);

#endif
