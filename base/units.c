/* SPDX-License-Identifier: Apache-2.0 */
/*
 * units.c - sizes and times as people write them
 */
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* A decimal number and what follows it; fractions to nine digits. */
static int parse_number(const char *text, uint64_t *whole, uint64_t *nano,
			const char **rest)
{
	uint64_t n = 0, frac = 0, digit = 100000000;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return -ERANGE;
	if (*text == '.') {
		if (!isdigit((unsigned char)*++text))
			return -EINVAL;
		for (; isdigit((unsigned char)*text); text++, digit /= 10)
			frac += (uint64_t)(*text - '0') * digit;
	}
	*whole = n;
	*nano = frac;
	*rest = text;
	return 0;
}

static int scale(uint64_t whole, uint64_t nano, uint64_t factor, uint64_t max,
		 uint64_t *out)
{
	unsigned __int128 v = (unsigned __int128)whole * factor +
			      (unsigned __int128)nano * factor / NSEC_PER_SEC;

	if (v > max)
		return -ERANGE;
	*out = (uint64_t)v;
	return 0;
}

int units_parse_size(const char *text, uint64_t *bytes)
{
	static const char letters[] = "KMGTP";
	uint64_t whole, nano, factor = 1;
	const char *rest, *letter;
	int err = parse_number(text, &whole, &nano, &rest);

	if (err < 0)
		return err;
	if (*rest != '\0') {
		letter = strchr(letters, toupper((unsigned char)*rest));
		if (letter == NULL)
			return -EINVAL;
		factor <<= 10 * (letter - letters + 1);
		rest++;
		if (strcmp(rest, "") != 0 && strcmp(rest, "iB") != 0)
			return -EINVAL;
	} else if (nano != 0) {
		return -EINVAL; /* half a byte */
	}
	return scale(whole, nano, factor, INT64_MAX, bytes);
}

int units_parse_time(const char *text, int64_t *ns)
{
	static const struct unit units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "ms", NSEC_PER_MSEC },
		{ "s", NSEC_PER_SEC },
		{ "m", 60 * NSEC_PER_SEC },
		{ "h", 3600 * NSEC_PER_SEC },
		{ "d", 86400 * NSEC_PER_SEC },
	};
	uint64_t whole, nano, v;
	const char *rest;
	int err = parse_number(text, &whole, &nano, &rest);

	if (err < 0)
		return err;
	if (*rest == '\0' && whole == 0 && nano == 0) {
		*ns = 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(rest, units[i].name) != 0)
			continue;
		err = scale(whole, nano, (uint64_t)units[i].factor, INT64_MAX,
			    &v);
		if (err == 0)
			*ns = (int64_t)v;
		return err;
	}
	return -EINVAL;
}

const char *units_format_size(uint64_t bytes, char *buf, size_t size)
{
	static const char *const names[] = { "B",   "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	size_t i = 0;

	while (v >= 1023.95 && i + 1 < ARRAY_SIZE(names)) {
		v /= 1024;
		i++;
	}
	if (i == 0 || v >= 99.95 || v == (double)(uint64_t)v)
		snprintf(buf, size, "%.0f %s", v, names[i]);
	else
		snprintf(buf, size, "%.1f %s", v, names[i]);
	return buf;
}

const char *units_format_time(int64_t ns, char *buf, size_t size)
{
	static const struct unit units[] = {
		{ "d", 86400 * NSEC_PER_SEC }, { "h", 3600 * NSEC_PER_SEC },
		{ "m", 60 * NSEC_PER_SEC },    { "s", NSEC_PER_SEC },
		{ "ms", NSEC_PER_MSEC },       { "us", 1000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		/* "60s" reads better than "1m", "90m" than "1.5h". */
		if (ns < 2 * units[i].factor && units[i].factor > NSEC_PER_SEC)
			continue;
		if (ns > 0 && ns % units[i].factor == 0) {
			snprintf(buf, size, "%jd%s",
				 (intmax_t)(ns / units[i].factor),
				 units[i].name);
			return buf;
		}
	}
	if (ns == 0)
		snprintf(buf, size, "0s");
	else
		snprintf(buf, size, "%jdns", (intmax_t)ns);
	return buf;
}
