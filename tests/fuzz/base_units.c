/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_units.c - sizes and times: any text is a value or refused, and what
 * is formatted reads back as what it was
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "base/units.h"

static void round_trip_time(int64_t ns)
{
	char text[64];
	int64_t back;

	units_format_time(ns, text, sizeof(text));
	CHECK(strlen(text) < sizeof(text) - 1);
	if (ns >= 0) {
		CHECK(units_parse_time(text, &back) == 0);
		CHECK(back == ns);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	AUTO_FREE char *text =
	    heap_text((struct str){ (const char *)data, size });
	char out[64];
	uint64_t bytes = 0;
	int64_t ns = 0;
	int r;

	r = units_parse_size(text, &bytes);
	CHECK(r == 0 || r == -EINVAL || r == -ERANGE);
	CHECK(bytes <= INT64_MAX);
	if (r == 0)
		CHECK(*units_format_size(bytes, out, sizeof(out)) != '\0');
	r = units_parse_time(text, &ns);
	CHECK(r == 0 || r == -EINVAL || r == -ERANGE);
	CHECK(ns >= 0);
	if (r == 0)
		round_trip_time(ns);
	round_trip_time((int64_t)take_u64(&in));
	units_format_size(take_u64(&in), out, sizeof(out));
	CHECK(strlen(out) < sizeof(out) - 1);
	return 0;
}
