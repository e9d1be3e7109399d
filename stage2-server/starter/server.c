/* server.c -- yours: stage 2C, tasks 2.10-2.12. */
#include "stage2-server/server.h"

#include "common/not_written.h"

/* The options, the reactor, and whatever the jobs on the pool need to know. */
struct server {
    int unused;
};

int server_create(struct server **out, const struct server_options *options)
{
    /* Copy the options; 0 in them means the default that server.h names. */
    (void)out, (void)options;
    return not_written("2.10");
}

int server_run(struct server *server)
{
    /* 2.10: wait, serve each connection that is ready, flush, give it back.
     * 2.11: on the pool, what may block. 2.12: until stopped, then what was
     * received is answered and the store is synced. */
    (void)server;
    return not_written("2.10");
}

void server_stop(struct server *server)
{
    /* Called from any thread, and from a signal handler. */
    (void)server;
    not_written("2.12");
}

void server_destroy(struct server *server)
{
    /* What create has made; the store and the pool are not yours. NULL is
     * allowed. */
    (void)server;
    not_written("2.10");
}

int server_port(struct server *server)
{
    /* The reactor knows. */
    (void)server;
    return not_written("2.10");
}
