/* pool.h -- see pool.c. */
#ifndef PLANTED_POOL_H
#define PLANTED_POOL_H

struct pool;

struct pool *pool_create(unsigned threads);
int pool_submit(struct pool *pool, int item);
void pool_destroy(struct pool *pool);

#endif
