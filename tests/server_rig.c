/* server_rig.c -- given. */
#include "tests/server_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const struct test_case *const server_hard_tables[] = {
    server_bytes_cases, server_crowd_cases, server_end_cases,
    server_history_cases, NULL
};

/* ---- in this process ---------------------------------------------------- */

static void open_all(struct rig *rig, struct server_options options)
{
    struct store_options files = { .durability = options.durability };

    if (options.threads == 0)
        options.threads = 2;
    if (options.reactor.addr.ss_family == 0)
        options.reactor.addr = loopback(0);
    struct pool_options crew = { .threads = options.threads,
                                 .capacity = 64 };
    expect_int("store_open", store_open(&rig->store, rig->dir, &files), 0);
    expect_int("pool_create", pool_create(&rig->pool, &crew), 0);
    options.store = rig->store;
    options.pool = rig->pool;
    expect_int("server_create", server_create(&rig->server, &options), 0);
    rig->port = server_port(rig->server);
    expect_true("server_port is a port", rig->port > 0);
}

void rig_create(struct rig *rig, struct server_options options)
{
    *rig = (struct rig){ 0 };
    scratch_make(rig->dir);
    open_all(rig, options);
}

static void run_server(void *arg)
{
    struct rig *rig = arg;

    rig->answer = server_run(rig->server);
}

void rig_start(struct rig *rig, struct server_options options)
{
    rig_create(rig, options);
    actor_start(&rig->loop, run_server, rig);
}

void rig_leave(struct rig *rig)
{
    scratch_remove(rig->dir);
}

/* To helgrind, an unlock goes on for a moment after the next thread has the
 * lock; there, pool_wait orders the jobs' last ones before server_destroy.
 * Elsewhere server and jobs must get along without. */
static void take_server_down(struct rig *rig)
{
    const char *preload = getenv("LD_PRELOAD");

    if (preload && strstr(preload, "vgpreload_helgrind"))
        pool_wait(rig->pool);
    server_destroy(rig->server);
    pool_destroy(rig->pool);
    rig->server = NULL;
    rig->pool = NULL;
}

int rig_stop_server(struct rig *rig)
{
    server_stop(rig->server);
    expect_soon("server_stop", "server_run returns", actor_done, &rig->loop);
    actor_join(&rig->loop);
    take_server_down(rig);
    return rig->answer;
}

void rig_release(struct rig *rig)
{
    if (rig->server)
        take_server_down(rig);
    expect_int("store_close", store_close(rig->store), 0);
    scratch_remove(rig->dir);
}

int rig_stop(struct rig *rig)
{
    int answer = rig_stop_server(rig);

    rig_release(rig);
    return answer;
}

void expect_served(const char *tried, struct rig *rig)
{
    struct peer peer;

    peer_open(&peer, rig->port);
    peer_ping(&peer, tried, 7);
    peer_half_close(&peer);     /* until the server has closed its side */
    peer_expect_end(&peer, tried);
    peer_close(&peer);
}

/* ---- in a process of its own -------------------------------------------- */

/* The child has ended instead of serving: as it did, so do we (it has said
 * what it is that failed, or is not written). */
static void say_why(pid_t pid)
{
    int status = 0;

    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        _exit(WEXITSTATUS(status));
    fail_case(__FILE__, __LINE__, "starting a server in a process of its own",
              "it serves", "it ends, with status %#x", (unsigned)status);
}

void child_start(struct child *child, const char *dir, int port,
                 struct server_options options)
{
    struct rig rig = { 0 };
    int ends[2];

    server_destroy(NULL);       /* not written? Then here, not in the child */
    expect_int("pipe", pipe(ends), 0);
    if (forked(&child->pid)) {
        close(ends[0]);
        snprintf(rig.dir, sizeof rig.dir, "%s", dir);
        options.reactor.addr = loopback(port);
        if (options.reactor.signals)
            reactor_block_signals();
        open_all(&rig, options);
        expect_true("the child tells its port",
                    write(ends[1], &rig.port, sizeof rig.port) > 0);
        close(ends[1]);
        _exit(server_run(rig.server) == 0 ? 0 : 1);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], &child->port, sizeof child->port);
    close(ends[0]);
    if (n != sizeof child->port)
        say_why(child->pid);
}

/* The program that was built with this one: ../stage2/kvs-server, or, with
 * the earlier modules of a correct solution, ../stage2/kvs-server.ref. */
static void run_program(const char *dir, int port)
{
    char path[PATH_MAX + 32], addr[32];
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);

    if (n < 4)
        _exit(126);
    path[n] = '\0';
    bool ref = strcmp(path + n - 4, ".ref") == 0;
    snprintf(strrchr(path, '/'), 32, "/../stage2/kvs-server%s",
             ref ? ".ref" : "");
    snprintf(addr, sizeof addr, "127.0.0.1:%d", port);
    execl(path, "kvs-server", "--dir", dir, "--addr", addr, (char *)NULL);
    _exit(127);
}

void child_exec(struct child *child, const char *dir, int port)
{
    static const char says[] = "listening on 127.0.0.1:";
    char line[1024];
    int ends[2];

    server_destroy(NULL);       /* as above */
    expect_int("pipe", pipe(ends), 0);
    if (forked(&child->pid)) {
        dup2(ends[1], 2);
        close_range(3, ~0u, 0);
        run_program(dir, port);
    }
    close(ends[1]);
    FILE *err = fdopen(ends[0], "r");
    child->port = 0;
    while (child->port == 0 && fgets(line, sizeof line, err)) {
        const char *at = strstr(line, says);

        if (at)
            child->port = atoi(at + sizeof says - 1);
    }
    fclose(err);
    expect_true("kvs-server starts and says where it listens",
                child->port > 0);
}

static bool has_ended(void *arg)
{
    siginfo_t info = { 0 };

    return waitid(P_PID, (id_t)*(pid_t *)arg, &info,
                  WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

int child_end(struct child *child, int sig)
{
    int status = 0;

    kill(child->pid, sig);
    expect_soon("a signal to the server", "it ends", has_ended, &child->pid);
    waitpid(child->pid, &status, 0);
    return status;
}
