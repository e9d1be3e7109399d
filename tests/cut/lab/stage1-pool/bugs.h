/* bugs.h -- the names that -DBUG= may have. */
enum {
    none, race_heap, race_global, race_array, race_stack, race_free,
    race_lib, lock_order, unlock_twice, unlock_foreign, destroy_locked,
    exit_locked, lock_kept, relock, wait_unlocked, not_joined, stack_gone,
    uninit, overflow, use_after_free, double_free, bad_free, leak,
    leak_direct, fd, null, aborts, hang, race_test, no_sync,
};
