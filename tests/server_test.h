/* server_test.h -- what the cases of the server share.
 *
 * Given.
 */
#ifndef TESTS_SERVER_TEST_H
#define TESTS_SERVER_TEST_H

#include <sys/types.h>

#include "stage1-pool/pool.h"
#include "stage2-server/server.h"
#include "stage2-server/store.h"
#include "tests/driver.h"
#include "tests/peer.h"
#include "tests/scratch.h"

/* ---- a server in this process ------------------------------------------- */

/* A fresh directory, a store in it, a pool, a server of both, and a thread
 * that runs it. */
struct rig {
    char dir[64];
    struct store *store;
    struct pool *pool;
    struct server *server;
    struct actor loop;
    int answer;             /* server_run's, once it has returned */
    int port;
};

/* What is not given in the options is filled in: a free port, two threads.
 * A case of task 2.10 or 2.11 ends with rig_leave, and the server goes with
 * the process (flag e in cases.tsv). */
void rig_start(struct rig *rig, struct server_options options);
void rig_leave(struct rig *rig);

/* (2.12) rig_stop: stops, takes everything down and answers what server_run
 * has answered. */
int rig_stop(struct rig *rig);

/* The two halves of rig_stop: server and pool, the store. Between them the
 * store can still be looked at. */
int rig_stop_server(struct rig *rig);
void rig_release(struct rig *rig);

/* As rig_start without a thread: server_run is the case's own affair. */
void rig_create(struct rig *rig, struct server_options options);

/* A new client gets an answer; and so all connections that were made before
 * it have been accepted. */
void expect_served(const char *tried, struct rig *rig);

/* ---- a server in a process of its own ----------------------------------- */

struct child {
    pid_t pid;
    int port;
};

/* A child that serves the store in `dir` on the port (0: any). */
void child_start(struct child *child, const char *dir, int port,
                 struct server_options options);

/* The real program, with --dir and the port. */
void child_exec(struct child *child, const char *dir, int port);

/* Sends the signal and waits; answers what waitpid says. */
int child_end(struct child *child, int sig);

/* ---- the cases ---------------------------------------------------------- */

/* Several tables; ends with NULL. */
extern const struct test_case *const server_hard_tables[];

extern const struct test_case server_bytes_cases[];
extern const struct test_case server_crowd_cases[];
extern const struct test_case server_end_cases[];
extern const struct test_case server_history_cases[];

#endif
