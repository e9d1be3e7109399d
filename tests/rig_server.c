/* rig_server.c -- the servers of load_rig.h, as a program.
 *
 * Given.
 *
 *     rig_server FAULT FROM TIMES DELAY-MS
 *
 * Prints "listening on 127.0.0.1:PORT", and serves until its input ends. Keys
 * 0 to 4095 only.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/load_rig.h"

static const char *const names[] = {
    "honest", "flips", "old", "other-key", "missing", "ghost", "loses",
    "keeps", "denies", "wrong-id", "wrong-kind", "extra", "fails", "hangs-up",
    "silent",
};

int main(int argc, char **argv)
{
    struct rig_plan plan = { .fault = HONEST };
    char c;

    if (argc != 5)
        return 2;
    while (strcmp(names[plan.fault], argv[1]) != 0)
        if (++plan.fault > FALLS_SILENT)
            return 2;
    plan.from = (unsigned)strtoul(argv[2], NULL, 10);
    plan.times = (unsigned)strtoul(argv[3], NULL, 10);
    plan.delay_ms = (unsigned)strtoul(argv[4], NULL, 10);
    plan.delayed = plan.delay_ms ? 1u << 30 : 0;
    struct load_options o = rig_options(rig_start(plan));
    printf("listening on 127.0.0.1:%d\n",
           ntohs(((struct sockaddr_in *)&o.addr)->sin_port));
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
    _exit(0);
}
