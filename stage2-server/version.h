/* version.h -- what -V says; the Makefile's VERSION.
 *
 * Given.
 */
#ifndef STAGE2_VERSION_H
#define STAGE2_VERSION_H

#define KVS_VERSION "0.1.0"

#endif
