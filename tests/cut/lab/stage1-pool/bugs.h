/* bugs.h -- the names that -DBUG= may have. */
enum {
    none, race_heap, race_global, race_stack, race_free, race_lib,
    lock_order, unlock_twice, unlock_foreign, destroy_locked, exit_locked,
    lock_kept, relock, wait_unlocked, not_joined, uninit, overflow,
    past_stack, past_global, use_after_free, double_free, bad_free, leak,
    fd, null, aborts, hang,
};
