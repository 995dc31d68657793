/* Unit server, listening: the addresses of a host's name, or a socket in the file system. */
#ifndef AKI_SERVER_LISTEN_H
#define AKI_SERVER_LISTEN_H

#include "exchange.h"

/* Says what is wrong, and answers SERVER_IO. option: the one at fault, or ""; what: its value, or what of the system it is. */
int server_fail(const char *option, const char *what, const char *why);

/* Open s->listener, and of a name with several addresses s->more, and tell where. */
int listen_tcp(struct server *s);
int listen_unix(struct server *s);
/* Starts the thread that accepts s->more's connections, when s->daemon runs. */
int start_accepting(struct server *s);

#endif
