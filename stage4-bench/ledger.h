/* ledger.h -- what was written, what was acknowledged: what must be there.
 *
 * Given.
 *
 * A number for each key, its version, that grows by one with every write (a
 * set or a remove). Version 0 is "never set", and counts as a remove. Of each
 * key the ledger knows
 *
 *   issued        the last version that was sent
 *   acknowledged  the last one whose reply has come
 *   removed       the last one that was a remove
 *
 * A get that was sent when `acknowledged` was a, and whose reply comes when
 * `issued` is b, must bring a version from a to b: none before a (it has been
 * overwritten, and the client was told), none after b (nobody has sent it).
 * "Not found" is right if one of these is a remove. A connection that gets a
 * key that it writes itself knows more: the server answers it in order.
 *
 * One connection writes a key (workload.h, own_writes), and its writes are
 * answered in order.
 *
 * Errors:  -ENOMEM.
 * Threads: any; what writes a key, one at a time.
 */
#ifndef STAGE4_LEDGER_H
#define STAGE4_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct ledger;

int ledger_create(struct ledger **out, uint64_t keys);
void ledger_destroy(struct ledger *ledger);

/* Before a write is sent: its version. */
uint64_t ledger_write(struct ledger *ledger, uint64_t key, bool removes);

/* Its reply has come, and says yes (or, of a remove, "not found"). */
void ledger_acknowledge(struct ledger *ledger, uint64_t key, uint64_t version);

/* Its reply has come, and says that it failed: whether it was done, nobody
 * knows. From now on the key is unsure: any version that was issued may be
 * there, or none. */
void ledger_fail(struct ledger *ledger, uint64_t key);

uint64_t ledger_issued(struct ledger *ledger, uint64_t key);
uint64_t ledger_acknowledged(struct ledger *ledger, uint64_t key);
uint64_t ledger_removed(struct ledger *ledger, uint64_t key);
bool ledger_unsure(struct ledger *ledger, uint64_t key);

#endif
