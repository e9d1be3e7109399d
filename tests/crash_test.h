/* crash_test.h -- the two halves of crash_test.
 *
 * Given.
 */
#ifndef TESTS_CRASH_TEST_H
#define TESTS_CRASH_TEST_H

#include "tests/crash_store.h"

/* crash_fault_test.c */
case_fn set_faults, syncs_fail, open_faults, kill_rounds, compact_killed, compact_faults,
    compact_sync_fails, kill_rounds_compacting;

#endif
