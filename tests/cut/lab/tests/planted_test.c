/* planted_test.c -- uses the channel and the pool enough to meet each bug. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "stage1-pool/channel.h"
#include "stage1-pool/pool.h"
#include "bugs.h"

enum { ITEMS = 20 };

static void *send_some(void *arg)
{
    struct channel *ch = arg;

    for (int i = 0; i < ITEMS; i++)
        channel_send(ch, i);
    return NULL;
}

static void *recv_some(void *arg)
{
    struct channel *ch = arg;

    for (int i = 0; i < ITEMS; i++)
        channel_recv(ch);
    return NULL;
}

static void use_channel(void)
{
    struct channel *ch = channel_create(4 * ITEMS);
    pthread_t ids[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&ids[i], NULL, i < 2 ? send_some : recv_some, ch);
    for (int i = 0; i < 4; i++)
        pthread_join(ids[i], NULL);
    channel_peek(ch);
    channel_close(ch);
    if (BUG == exit_locked)
        _exit(0);
    channel_destroy(ch);
}

static void use_small(void)
{
    struct channel *ch = channel_create(2);

    for (int i = 0; i < 2; i++)
        channel_send(ch, i);
    channel_recv(ch);
    channel_recv(ch);
    channel_peek(ch);
    channel_destroy(ch);
}

static void *fill(void *arg)
{
    for (int i = 0; i < 3; i++)
        channel_send(arg, i);
    return NULL;
}

static void fill_and_end(void)
{
    struct channel *ch = channel_create(2);
    pthread_t id;

    pthread_create(&id, NULL, fill, ch);
    pthread_join(id, NULL);
    channel_peek(ch);
}

static void use_pool(void)
{
    struct pool *pool = pool_create(3);

    for (int i = 0; i < ITEMS; i++)
        pool_submit(pool, i);
    pool_destroy(pool);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        use_channel();
    else if (BUG == lock_kept || BUG == unlock_foreign)
        fill_and_end();
    else if (BUG == unlock_twice || BUG == overflow || BUG == relock)
        use_small();
    else
        use_pool();
    return 0;
}
