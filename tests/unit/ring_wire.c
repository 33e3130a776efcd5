/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_wire.c - checksums of pages on their way from worker to mount
 */
#include "ring/wire.h"

#include <errno.h>

#include "tests/unit/run.h"

#define LEN (3 * WIRE_PAGE + 1234)
#define PAGES 4
#define OFF (7 * WIRE_PAGE)

static char object[LEN], framed[LEN + PAGES * WIRE_WORD], buffer[WIRE_PAGE];
static struct wire_pages pages;

struct got {
	size_t n;
	int fail;
	char bytes[LEN];
};

static int give(void *arg, const void *page, size_t len)
{
	struct got *g = arg;

	if (g->fail < 0)
		return g->fail;
	ck_assert_uint_le(g->n + len, LEN);
	memcpy(g->bytes + g->n, page, len);
	g->n += len;
	return 0;
}

static size_t span(size_t i)
{
	return MIN(WIRE_PAGE, LEN - i * WIRE_PAGE);
}

static void setup(void)
{
	size_t at = 0;

	for (size_t i = 0; i < LEN; i++)
		object[i] = (char)(i * 2654435761u >> 13);
	pages = (struct wire_pages){ .seed = 0xfedcba9876543210,
				     .first = 7,
				     .n = PAGES };
	for (size_t i = 0; i < PAGES; i++) {
		uint64_t word =
		    extent_word(0, 7 + i, object + i * WIRE_PAGE, span(i));

		pages.words[i] = extent_word(pages.seed, 7 + i,
					     object + i * WIRE_PAGE, span(i));
		for (int k = 0; k < WIRE_WORD; k++)
			framed[at++] = (char)(word >> (8 * k));
		memcpy(framed + at, object + i * WIRE_PAGE, span(i));
		at += span(i);
	}
}

/* A body fed in pieces of step bytes. */
static int feed(const struct wire_pages *p, const char *body, size_t n,
		size_t step, struct got *g)
{
	struct wire_body b;

	wire_body_begin(&b, p, OFF, LEN, buffer);
	for (size_t at = 0; at < n; at += step) {
		int r =
		    wire_body_add(&b, body + at, MIN(step, n - at), give, g);

		if (r < 0)
			return r;
	}
	return wire_body_complete(&b) ? 0 : -EPIPE;
}

static const size_t steps[] = { 1,      7,   WIRE_PAGE - 1, WIRE_PAGE,
				100000, LEN, 2 * LEN };

START_TEST(a_body_comes_through_in_whatever_pieces)
{
	static struct got g;

	g = (struct got){ 0 };
	ck_assert_int_eq(feed(&pages, object, LEN, steps[_i], &g), 0);
	ck_assert_uint_eq(g.n, LEN);
	ck_assert_mem_eq(g.bytes, object, LEN);
	g = (struct got){ 0 };
	ck_assert_int_eq(feed(NULL, framed, sizeof(framed), steps[_i], &g), 0);
	ck_assert_uint_eq(g.n, LEN);
	ck_assert_mem_eq(g.bytes, object, LEN);
}
END_TEST

START_TEST(a_flipped_bit_is_found_and_its_page_is_not_given)
{
	static struct got g;

	g = (struct got){ 0 };
	object[2 * WIRE_PAGE + 5] ^= 1;
	ck_assert_int_eq(feed(&pages, object, LEN, 1000, &g), -EBADMSG);
	ck_assert_uint_eq(g.n, 2 * WIRE_PAGE);
	g = (struct got){ 0 };
	framed[2 * (WIRE_PAGE + WIRE_WORD)] ^= 1; /* in a word */
	ck_assert_int_eq(feed(NULL, framed, sizeof(framed), 1000, &g),
			 -EBADMSG);
	ck_assert_uint_eq(g.n, 2 * WIRE_PAGE);
}
END_TEST

START_TEST(what_is_short_or_long_or_refused_is_no_success)
{
	static struct got g;

	g = (struct got){ 0 };
	ck_assert_int_eq(feed(&pages, object, LEN - 1, 1000, &g), -EPIPE);
	g = (struct got){ 0 };
	ck_assert_int_eq(feed(NULL, framed, sizeof(framed) - 1, 1000, &g),
			 -EPIPE);
	g = (struct got){ .fail = -ENOMEM };
	ck_assert_int_eq(feed(&pages, object, LEN, 1000, &g), -ENOMEM);
	g = (struct got){ 0 };
	pages.n--;
	ck_assert_int_eq(feed(&pages, object, LEN, 1000, &g), -EBADMSG);
}
END_TEST

START_TEST(more_than_was_said_is_an_error)
{
	static struct got g;
	struct wire_body b;

	g = (struct got){ 0 };
	wire_body_begin(&b, &pages, OFF, LEN, buffer);
	ck_assert_int_eq(wire_body_add(&b, object, LEN, give, &g), 0);
	ck_assert_int_eq(wire_body_add(&b, object, 1, give, &g), -EIO);
}
END_TEST

START_TEST(the_header_says_what_was_written)
{
	char text[WIRE_PAGES_TEXT];
	struct wire_pages all = { .seed = UINT64_MAX,
				  .first = UINT64_MAX,
				  .n = (size_t)_i },
			  back;

	for (size_t i = 0; i < all.n; i++)
		all.words[i] = i * UINT64_C(0x123456789abcdef1) + 1;
	wire_pages_write(&all, text);
	ck_assert_uint_lt(strlen(text), WIRE_PAGES_TEXT);
	ck_assert_int_eq(wire_pages_read(text, &back), 0);
	ck_assert_uint_eq(back.seed, all.seed);
	ck_assert_uint_eq(back.first, all.first);
	ck_assert_uint_eq(back.n, all.n);
	ck_assert_mem_eq(back.words, all.words, all.n * sizeof(all.words[0]));
}
END_TEST

static const char *const wrong[] = {
	"",
	" ",
	"1 2",
	"1 2 ",
	"1 2 AAAA",          /* three bytes */
	"1 2 AAAAAAAAAAA",   /* not in fours */
	"1 2 AAAAAAAAAAA*",  /* not base64 */
	"1 2 AAAAAAAAAAA= ", /* more behind it */
	"12345678901234567 2 AAAAAAAAAAA=",
	"x 2 AAAAAAAAAAA=",
	"-1 2 AAAAAAAAAAA=",
	"1  AAAAAAAAAAA=",
	"1 2 ====",
	"1 2 AAAAAAAAAA==",
};

START_TEST(what_is_no_header_is_refused)
{
	struct wire_pages p = { .n = 77 };

	ck_assert_int_eq(wire_pages_read("1 2 AAAAAAAAAAA=", &p), 0);
	ck_assert_uint_eq(p.n, 1);
	p.n = 77;
	ck_assert_int_eq(wire_pages_read(wrong[_i], &p), -EINVAL);
	ck_assert_uint_eq(p.n, 77);
}
END_TEST

START_TEST(more_words_than_a_range_has_pages_are_refused)
{
	static char text[WIRE_PAGES_TEXT + 64];
	struct wire_pages p = { .n = WIRE_PAGES_MAX };

	wire_pages_write(&p, text);
	ck_assert_int_eq(wire_pages_read(text, &p), 0);
	/* 128 words end with "=="; three more digits and one more word. */
	strcpy(text + strlen(text) - 2, "AAAAAAAAAAAA");
	ck_assert_int_eq(wire_pages_read(text, &p), -EINVAL);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("wire");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_loop_test(t, a_body_comes_through_in_whatever_pieces, 0,
			    ARRAY_SIZE(steps));
	tcase_add_test(t, a_flipped_bit_is_found_and_its_page_is_not_given);
	tcase_add_test(t, what_is_short_or_long_or_refused_is_no_success);
	tcase_add_test(t, more_than_was_said_is_an_error);
	tcase_add_loop_test(t, the_header_says_what_was_written, 1,
			    WIRE_PAGES_MAX + 1);
	tcase_add_loop_test(t, what_is_no_header_is_refused, 0,
			    ARRAY_SIZE(wrong));
	tcase_add_test(t, more_words_than_a_range_has_pages_are_refused);
	return RUN_CASES(t);
}
