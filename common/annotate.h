/* annotate.h -- what helgrind has to be told about atomics.
 *
 * Given, and only for counter.c and publish.c.
 *
 * Helgrind follows pthread calls, not atomics. So right before an atomic
 * operation that hands something over we say HAPPENS_BEFORE(word), right
 * after one that receives HAPPENS_AFTER(word); helgrind then orders the two
 * threads as the memory model does. The word's address names the edge.
 *
 * Saying it is not doing it: an annotation without the atomic operation
 * would only silence the tool. That is why both are always made together,
 * inside the functions of publish.h and counter.h, and why nothing else
 * includes this file.
 *
 * Outside valgrind an annotation costs about a nanosecond; with -DNVALGRIND
 * or without valgrind's headers there is none. ThreadSanitizer understands
 * atomics by itself and needs nothing.
 */
#ifndef COMMON_ANNOTATE_H
#define COMMON_ANNOTATE_H

#if !defined(NVALGRIND) && __has_include(<valgrind/helgrind.h>)

#include <valgrind/helgrind.h>

#define HAPPENS_BEFORE(word) ANNOTATE_HAPPENS_BEFORE(word)
#define HAPPENS_AFTER(word)  ANNOTATE_HAPPENS_AFTER(word)

/* From now on the word is only accessed atomically: do not judge it. */
#define ATOMIC_WORD(word) VALGRIND_HG_DISABLE_CHECKING(word, sizeof *(word))

#else

#define HAPPENS_BEFORE(word) ((void)(word))
#define HAPPENS_AFTER(word)  ((void)(word))
#define ATOMIC_WORD(word)    ((void)(word))

#endif

/* A seq-cst store is an exchange on x86, and an exchange is no write in
 * helgrind's eyes; elsewhere it is a plain store, and would be reported. */
#if defined(__x86_64__) || defined(__i386__)
#define SEQ_CST_WORD(word) ((void)(word))
#else
#define SEQ_CST_WORD(word) ATOMIC_WORD(word)
#endif

#endif
