/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - the three clocks
 *
 * Ages and deadlines use CLOCK_BOOTTIME, which neither jumps nor stops in
 * suspend; the wall clock serves only signatures and what people read. A
 * BOOTTIME stamp that outlives the process is kept beside the boot id.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NSEC_PER_SEC INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)

#define BOOT_ID_LEN 36

int64_t clock_ns(void);      /* CLOCK_BOOTTIME */
int64_t clock_wall_ns(void); /* since 1970 */

/* The kernel's boot id as text, or all zeros when /proc does not tell. */
const char *clock_boot_id(void);

#endif
