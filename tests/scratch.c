/* scratch.c -- given. */
#include "tests/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/driver.h"

void scratch_make(char dir[64])
{
    const char *tmp = getenv("TMPDIR");
    const char *places[] = { tmp && strlen(tmp) < 40 ? tmp : "/dev/shm",
                             "/dev/shm", "/tmp" };

    for (size_t i = 0; i < 3; i++) {
        snprintf(dir, 64, "%s/kvs-test-XXXXXX", places[i]);
        if (mkdtemp(dir))
            return;
    }
    fail_case(__FILE__, __LINE__, "making a directory for the case",
              "there is room below /dev/shm, $TMPDIR or /tmp", "%s",
              strerror(errno));
}

void scratch_remove(const char *dir)
{
    char path[400];
    DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.' || strlen(e->d_name) > 2)
            unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}
