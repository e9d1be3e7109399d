/* peer.h -- a client that a test has in its hands, byte by byte.
 *
 * Given.
 *
 * client.h does what a client should do. A peer does the rest: it sends half
 * a frame, or rubbish, does not read, closes at the wrong moment. What it
 * receives it takes apart like any client.
 *
 * Errors:  what fails, fails the case, but for the `try` forms. A wait is
 *          over after the patience.
 * Threads: a peer belongs to one at a time; the rest any.
 */
#ifndef TESTS_PEER_H
#define TESTS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "common/slice.h"
#include "stage2-server/proto.h"

struct peer {
    int fd;                 /* -1: closed */
    struct buf in;          /* received; looked at up to `at` */
    size_t at;
};

/* 127.0.0.1. */
struct sockaddr_storage loopback(int port);
void peer_open(struct peer *peer, int port);
bool peer_try_open(struct peer *peer, int port);

/* As peer_open; the kernel keeps about `bytes` for it, no more. */
void peer_open_small(struct peer *peer, int port, int bytes);

void peer_close(struct peer *peer);

/* Closes so that the other side gets a reset (SO_LINGER of 0). */
void peer_reset(struct peer *peer);

/* Says that nothing more will be sent. */
void peer_half_close(struct peer *peer);

void peer_send(struct peer *peer, const void *bytes, size_t len);
bool peer_try_send(struct peer *peer, const void *bytes, size_t len);

/* Sends and clears. */
void peer_send_buf(struct peer *peer, struct buf *bytes);

/* Waits until the other side's kernel has all that was sent. */
void peer_expect_arrived(struct peer *peer);

/* ---- frames, appended --------------------------------------------------- */

void put_ping(struct buf *to, uint64_t id);
void put_get(struct buf *to, uint64_t id, struct slice key);
void put_set(struct buf *to, uint64_t id, struct slice key,
             struct slice value);

/* A header as wrong as one likes, and no body. */
void put_header(struct buf *to, int magic, int version, int op, uint32_t len,
                uint64_t id);

/* ---- replies ------------------------------------------------------------ */

/* The next one; its slice is good until the next call. False when there is
 * none: the other side has closed (or the connection is reset). */
bool peer_try_take(struct peer *peer, struct proto_reply *reply);

/* As peer_try_take, and a failure when there is none. */
void peer_take(struct peer *peer, const char *tried,
               struct proto_reply *reply);

/* The next reply has this id and status (and value). */
void peer_expect(struct peer *peer, const char *tried, uint64_t id,
                 enum proto_status status);
void peer_expect_value(struct peer *peer, const char *tried, uint64_t id,
                       struct slice value);

/* The two are the same; if not, says where they differ. */
void expect_bytes(const char *tried, struct slice got, struct slice wanted);

/* Nothing has come, and nothing has ended. What the other side has sent is
 * there at once, on the loopback. */
void peer_expect_silence(struct peer *peer, const char *tried);

/* Nothing comes any more, and the connection ends. */
void peer_expect_end(struct peer *peer, const char *tried);

/* Sends a ping and takes its reply. */
void peer_ping(struct peer *peer, const char *tried, uint64_t id);

/* ---- this process ------------------------------------------------------- */

/* How many descriptors are open; fails the case unless it comes down to
 * `before`. */
size_t descriptors(void);
void expect_descriptors(const char *tried, size_t before);

/* Bytes that malloc has given out and not got back. 0 where that cannot be
 * known (under a tool). */
size_t heap_used(void);

#endif
