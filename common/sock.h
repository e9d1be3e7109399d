/* sock.h -- TCP sockets: addresses, listening, connecting, all of it.
 *
 * Given.
 *
 * Addresses are numbers, "127.0.0.1:4000" or "[::1]:4000"; nothing here
 * asks a name server, so nothing here waits for one.
 *
 * Errors:  a negative errno; outputs untouched.
 *            -EINVAL     not such an address
 *            -ETIMEDOUT  the time given is over
 * Threads: any; one sender and one receiver at a time on a socket.
 * Source:  Stevens, Fenner, Rudoff, "UNIX Network Programming" (2003), 3, 4.
 */
#ifndef COMMON_SOCK_H
#define COMMON_SOCK_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { SOCK_TEXT_MAX = 64 };    /* room for any address's text */

/* Port 0 to 65535, decimal, without leading zeros; nothing around it. */
int sock_parse(struct sockaddr_storage *out, const char *text);

/* The text that sock_parse reads; "?" for another family. Answers text. */
const char *sock_format(const struct sockaddr_storage *addr,
                        char text[SOCK_TEXT_MAX]);

/* A listening socket; flags: SOCK_NONBLOCK, SOCK_CLOEXEC. A port that was
 * just in use can be taken again at once. Answers the descriptor. */
int sock_listen(const struct sockaddr_storage *addr, int backlog, int flags);

/* A connected, blocking, close-on-exec socket that sends small pieces at
 * once (TCP_NODELAY). Negative ms: no limit. Answers the descriptor. */
int sock_connect(const struct sockaddr_storage *addr, int timeout_ms);

/* From now on a send or receive that makes no progress for that long fails
 * with -ETIMEDOUT; 0: no limit. */
int sock_set_timeout(int fd, unsigned timeout_ms);

/* For blocking sockets: sends all; a peer that is gone is -EPIPE or
 * -ECONNRESET and never a signal. */
int sock_send_all(int fd, const void *from, size_t len);

/* For blocking sockets: how many bytes came; fewer than len only if the
 * peer has sent its last. */
ssize_t sock_recv_all(int fd, void *to, size_t len);

/* The socket's own port. */
int sock_port(int fd);

#endif
