/* links.h -- many connections to a server, and one thread that waits for all.
 *
 * Given.
 *
 * Links have numbers, from 0. Requests are collected (links_put) and then sent
 * in as few pieces as possible (links_flush); what the socket does not take
 * now goes out by itself inside of later calls of links_wait. Replies are
 * taken, whole, one by one.
 *
 * Errors:  0 or a negative errno. Of the server: -ECONNREFUSED; -ECONNRESET,
 *          -EPIPE it is gone; -EPROTO what comes is no reply. After one of
 *          these only links_close is left.
 * Threads: one at a time.
 */
#ifndef STAGE4_LINKS_H
#define STAGE4_LINKS_H

#include <stdint.h>
#include <sys/socket.h>

#include "stage4-bench/wire.h"

struct links;

/* Connects n times. *out is owned: links_close (NULL is allowed). */
int links_open(struct links **out, const struct sockaddr_storage *addr,
               unsigned n, const struct wire *wire, unsigned timeout_ms);
void links_close(struct links *links);

/* The request is copied: its slices may go at once. */
int links_put(struct links *links, unsigned link,
              const struct wire_request *request);
int links_flush(struct links *links, unsigned link);

/* Waits until replies come on some link, or until the moment `until` of
 * clock_now_ns (DEADLINE_NEVER: without end). Answers how many links have
 * something, and writes their numbers into ready[], which has room for all;
 * 0: the moment has come (not before it), or a signal: so look at the clock
 * before you call it a time-out. Precise to about 0.1 ms. */
int links_wait(struct links *links, uint64_t until, unsigned *ready);

/* The link's next reply; its slices are good until the next call. 1: there is
 * one; 0: it has not come yet. */
int links_take(struct links *links, unsigned link, struct wire_reply *reply);

#endif
