#include_next <sys/socket.h>
#ifndef AKI_TEST_DARWIN_SOCKET_H
#define AKI_TEST_DARWIN_SOCKET_H

/* Of a listening socket: ENOTCONN, and it goes on listening. */
__typeof__(shutdown) shutdown __asm__("darwin_shutdown");
#undef MSG_NOSIGNAL
#undef MSG_MORE
#undef MSG_CMSG_CLOEXEC
#undef SOCK_CLOEXEC
#undef SOCK_NONBLOCK
#pragma GCC poison MSG_NOSIGNAL MSG_MORE MSG_CMSG_CLOEXEC SOCK_CLOEXEC SOCK_NONBLOCK accept4 sendmmsg recvmmsg

#endif
