/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.c - see wire.h
 */
#include "ring/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/le.h"

void wire_pages_write(const struct wire_pages *p,
		      char out[static WIRE_PAGES_TEXT])
{
	uint8_t raw[WIRE_PAGES_MAX * WIRE_WORD];
	int n;

	must(p->n == 0 || p->n > WIRE_PAGES_MAX);
	for (size_t i = 0; i < p->n; i++)
		put_le(raw + i * WIRE_WORD, p->words[i], WIRE_WORD);
	n = snprintf(out, WIRE_PAGES_TEXT, "%" PRIx64 " %" PRIx64 " ", p->seed,
		     p->first);
	EVP_EncodeBlock((unsigned char *)out + n, raw, (int)(p->n * WIRE_WORD));
}

/* Up to 16 hex digits and the space behind them; NULL when it is none. */
static const char *read_hex(const char *s, uint64_t *out)
{
	size_t n = strspn(s, "0123456789abcdef");

	if (n == 0 || n > 16 || s[n] != ' ')
		return NULL;
	*out = strtoull(s, NULL, 16);
	return s + n + 1;
}

int wire_pages_read(const char *value, struct wire_pages *out)
{
	/* Three bytes for each four digits, the padding's too. */
	uint8_t raw[WIRE_PAGES_MAX * WIRE_WORD + 3];
	struct wire_pages p;
	size_t n, padding;
	int got;

	value = read_hex(value, &p.seed);
	if (value != NULL)
		value = read_hex(value, &p.first);
	if (value == NULL)
		return -EINVAL;
	n = strlen(value);
	if (n == 0 || n % 4 != 0 || n / 4 * 3 > sizeof(raw))
		return -EINVAL;
	padding = (value[n - 1] == '=') + (value[n - 2] == '=');
	got = EVP_DecodeBlock(raw, (const unsigned char *)value, (int)n);
	if (got < 0 || (size_t)got != n / 4 * 3 ||
	    ((size_t)got - padding) % WIRE_WORD != 0)
		return -EINVAL;
	p.n = ((size_t)got - padding) / WIRE_WORD;
	if (p.n == 0 || p.n > WIRE_PAGES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < p.n; i++)
		p.words[i] = get_le(raw + i * WIRE_WORD, WIRE_WORD);
	*out = p;
	return 0;
}

void wire_body_begin(struct wire_body *b, const struct wire_pages *pages,
		     uint64_t off, uint64_t len, char *buffer)
{
	*b = (struct wire_body){ .pages = pages,
				 .page = off / WIRE_PAGE,
				 .left = len,
				 .buffer = buffer };
}

static bool page_is_right(const struct wire_body *b, const char *bytes,
			  size_t n)
{
	const struct wire_pages *p = b->pages;

	if (p == NULL)
		return extent_word(0, b->page, bytes, n) ==
		       get_le(b->word, WIRE_WORD);
	return b->at < p->n && extent_word(p->seed, p->first + b->at, bytes,
					   n) == p->words[b->at];
}

int wire_body_add(struct wire_body *b, const char *bytes, size_t n,
		  int (*give)(void *arg, const void *page, size_t len),
		  void *arg)
{
	while (n > 0) {
		size_t want = (size_t)MIN(b->left, WIRE_PAGE), take;
		const char *page = bytes;
		int err;

		if (want == 0)
			return -EIO;
		if (b->pages == NULL && b->word_held < WIRE_WORD) {
			take = MIN(n, WIRE_WORD - b->word_held);
			memcpy(b->word + b->word_held, bytes, take);
			b->word_held += take;
			bytes += take;
			n -= take;
			continue;
		}
		/* A page that came in one piece need not be copied. */
		take = MIN(n, want - b->held);
		if (take < want) {
			memcpy(b->buffer + b->held, bytes, take);
			page = b->buffer;
		}
		b->held += take;
		bytes += take;
		n -= take;
		if (b->held < want)
			continue;
		if (!page_is_right(b, page, want))
			return -EBADMSG;
		err = give(arg, page, want);
		if (err < 0)
			return err;
		b->held = b->word_held = 0;
		b->left -= want;
		b->page++;
		b->at++;
	}
	return 0;
}
