/* SPDX-License-Identifier: Apache-2.0 */
/*
 * units.h - sizes and times as people write them
 *
 * Sizes are powers of 1024: "64K", "10G", "1536", "1.5M";
 * the largest is INT64_MAX. Times need a unit: "500ms", "30s", "5m", "2h",
 * "1d" ("0" alone is allowed). Negative, empty, overflowing and trailing text
 * are -EINVAL or -ERANGE.
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include "base/base.h"

int units_parse_size(const char *text, uint64_t *bytes);
int units_parse_time(const char *text, int64_t *ns);

/* "1.5 GiB", "110 KiB", "17 B" into buf; returns buf. */
const char *units_format_size(uint64_t bytes, char *buf, size_t size);

/*
 * Exactly, in the largest unit of which there are at least two ("60s",
 * "1500ms", "5m", "1s") into buf; returns buf.
 */
const char *units_format_time(int64_t ns, char *buf, size_t size);

#endif
