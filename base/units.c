/* SPDX-License-Identifier: Apache-2.0 */
/*
 * units.c - sizes and times as people write them
 *
 * Both are a decimal number and a unit, so one parser with a table of units
 * serves both. All in integers: 0.1 has no exact double, and a limit that is
 * one byte off is found only when it is hit.
 */
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{ "", 1 },
	{ "K", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
	{ "P", UINT64_C(1) << 50 },
	{ "E", UINT64_C(1) << 60 },
};

static const struct unit times[] = {
	{ "ms", (uint64_t)NSEC_PER_MSEC },
	{ "s", (uint64_t)NSEC_PER_SEC },
	{ "m", (uint64_t)NSEC_PER_SEC * 60 },
	{ "h", (uint64_t)NSEC_PER_SEC * 3600 },
	{ "d", (uint64_t)NSEC_PER_SEC * 86400 },
};

/*
 * More digits behind the point than this add less than a unit's factor can
 * resolve, and the product below must fit 128 bits.
 */
#define FRACTION_DIGITS 18

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The unit called name, capitals aside when fold is set. */
static const struct unit *unit_find(const struct unit *units, size_t n,
				    const char *name, bool fold)
{
	for (size_t i = 0; i < n; i++)
		if (fold ? strcasecmp(units[i].name, name) == 0
			 : strcmp(units[i].name, name) == 0)
			return &units[i];
	return NULL;
}

/*
 * DIGITS[.DIGITS] into *whole, *fraction and *scale (fraction / scale is the
 * part behind the point); *rest is what follows it.
 */
static int number_parse(const char *text, uint64_t *whole, uint64_t *fraction,
			uint64_t *scale, const char **rest)
{
	const char *p = text;
	bool overflow = false;
	uint64_t w = 0, f = 0, s = 1;

	if (!is_digit(*p))
		return -EINVAL;
	for (; is_digit(*p); p++)
		overflow |= __builtin_mul_overflow(w, UINT64_C(10), &w) ||
			    __builtin_add_overflow(w, (uint64_t)(*p - '0'), &w);
	if (*p == '.') {
		if (!is_digit(*++p))
			return -EINVAL;
		for (unsigned n = 0; is_digit(*p); p++, n++)
			if (n < FRACTION_DIGITS) {
				f = f * 10 + (uint64_t)(*p - '0');
				s *= 10;
			}
	}
	*whole = w;
	*fraction = f;
	*scale = s;
	*rest = p;
	return overflow ? -ERANGE : 0;
}

/* value = (whole + fraction/scale) * factor, rounded down; at most max. */
static int number_scale(uint64_t whole, uint64_t fraction, uint64_t scale,
			uint64_t factor, uint64_t max, uint64_t *out)
{
	unsigned __int128 v = (unsigned __int128)whole * factor;

	v += (unsigned __int128)fraction * factor / scale;
	if (v > max)
		return -ERANGE;
	*out = (uint64_t)v;
	return 0;
}

int units_parse_size(const char *text, uint64_t *bytes)
{
	uint64_t whole, fraction, scale;
	const struct unit *unit;
	const char *rest;
	int r;

	r = number_parse(text, &whole, &fraction, &scale, &rest);
	if (r == -EINVAL)
		return r;
	unit = unit_find(sizes, ARRAY_SIZE(sizes), rest, true);
	if (unit == NULL || (unit->factor == 1 && scale != 1))
		return -EINVAL;
	if (r < 0)
		return r;
	/* Not UINT64_MAX: sizes are compared with and become off_t. */
	return number_scale(whole, fraction, scale, unit->factor, INT64_MAX,
			    bytes);
}

int units_parse_time(const char *text, int64_t *ns)
{
	uint64_t whole, fraction, scale, value;
	const struct unit *unit;
	const char *rest;
	int r;

	r = number_parse(text, &whole, &fraction, &scale, &rest);
	if (r == -EINVAL)
		return r;
	if (*rest == '\0' && whole == 0 && scale == 1 && r == 0) {
		*ns = 0;
		return 0;
	}
	/* Capitals count: M would be a month or mega, not a minute. */
	unit = unit_find(times, ARRAY_SIZE(times), rest, false);
	if (unit == NULL)
		return -EINVAL;
	if (r < 0)
		return r;
	r = number_scale(whole, fraction, scale, unit->factor, INT64_MAX,
			 &value);
	if (r < 0)
		return r;
	*ns = (int64_t)value;
	return 0;
}

/*
 * Three digits are what people compare by: one behind the point below 100,
 * none when it would be 0.
 */
const char *units_format_size(uint64_t bytes, char *buf, size_t size)
{
	static const char *const names[] = { "B",   "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	unsigned u = 0;
	uint64_t factor = 1, tenths;

	while (u + 1 < ARRAY_SIZE(names) && bytes / factor >= 1024) {
		factor *= 1024;
		u++;
	}
	/* 1023.95 KiB is 1 MiB, not 1024 KiB. */
	tenths =
	    (uint64_t)(((unsigned __int128)bytes * 10 + factor / 2) / factor);
	if (tenths >= 10235 && u > 0 && u + 1 < ARRAY_SIZE(names)) {
		tenths = 10;
		u++;
	}
	if (tenths % 10 == 0 || tenths >= 1000)
		snprintf(buf, size, "%" PRIu64 " %s",
			 u == 0 ? bytes : (tenths + 5) / 10, names[u]);
	else
		snprintf(buf, size, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10,
			 tenths % 10, names[u]);
	return buf;
}

/*
 * In the largest unit that gives a whole number above one (60s, not 1m: who
 * compares two times sees the same unit more often); what is not whole
 * milliseconds has digits behind the point.
 */
const char *units_format_time(int64_t ns, char *buf, size_t size)
{
	uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	const char *sign = ns < 0 ? "-" : "";
	const struct unit *unit = &times[0];
	uint64_t part;
	int digits = 6;

	if (v == 0) {
		snprintf(buf, size, "0s");
		return buf;
	}
	for (size_t i = 1; i < ARRAY_SIZE(times); i++)
		if (v % times[i].factor == 0 &&
		    (v > times[i].factor || times[i].name[0] == 's'))
			unit = &times[i];
	part = v % unit->factor;
	if (part == 0) {
		snprintf(buf, size, "%s%" PRIu64 "%s", sign, v / unit->factor,
			 unit->name);
		return buf;
	}
	for (; part % 10 == 0; part /= 10)
		digits--;
	snprintf(buf, size, "%s%" PRIu64 ".%0*" PRIu64 "%s", sign,
		 v / unit->factor, digits, part, unit->name);
	return buf;
}
