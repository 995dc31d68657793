/* Unit log: JSON lines on standard error, written whole; never a text, a key or a query string. What cannot be written is lost.
 * Each has time, level (error, warning, info, debug) and event; events named error and warning have that level, notes are debug. */
#ifndef AKI_SERVER_LOG_H
#define AKI_SERVER_LOG_H

#include "exchange.h"

#include <sys/socket.h>

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void log_event(const char *event, const char *format, ...);
/* members: JSON members that follow the message, each with a comma before it; freed. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void log_members(const char *event, struct aki__buf *members, const char *format, ...);
/* sent: the answer went out whole. */
void log_request(const struct exchange *x, bool sent);

/* "127.0.0.1:40000"; "unix" for what has no address. */
void log_address(char *out, size_t size, const struct sockaddr *address);

#endif
