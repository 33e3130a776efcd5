/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_xml.c - pages of a listing, and errors
 *
 * Input: how large the pieces are in which it comes, and the document. A
 * document means the same however it is cut.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "ufs/s3_xml.h"

static int parse(struct str doc, size_t piece, struct s3_list_parser **p,
		 const struct s3_page **page)
{
	int r = s3_list_new(p);

	CHECK(r == 0);
	while (doc.n > 0 && r == 0) {
		size_t n = MIN(piece, doc.n);
		/* On the heap, to see who reads on. */
		AUTO_FREE char *bytes = heap_text((struct str){ doc.p, n });

		r = s3_list_feed(*p, bytes, n);
		doc.p += n;
		doc.n -= n;
	}
	return r == 0 ? s3_list_end(*p, page) : r;
}

static struct str key_of(const struct s3_page *page, size_t i)
{
	return (struct str){ page->keys + page->entry[i].at, page->entry[i].n };
}

static void check_stat(const struct ufs_stat *st)
{
	CHECK(memchr(st->version, '\0', sizeof(st->version)) != NULL);
	CHECK(memchr(st->storage_class, '\0', sizeof(st->storage_class)) !=
	      NULL);
	CHECK(st->size <= INT64_MAX);
	CHECK(st->mtime >= 0);
	/* It goes into a header line. */
	CHECK(strpbrk(st->version, "\r\n\" ") == NULL);
}

static void check_page(const struct s3_page *page)
{
	size_t unusable = 0;

	for (size_t i = 0; i < page->n; i++) {
		const struct s3_page_entry *e = &page->entry[i];

		if (i > 0) {
			int order =
			    str_cmp(key_of(page, i - 1), key_of(page, i));

			CHECK(order < 0 || (order == 0 &&
					    !page->entry[i - 1].dir && e->dir));
		}
		if (!e->dir) {
			check_stat(&e->st);
			unusable += (e->st.flags & UFS_UNUSABLE) != 0;
		}
	}
	CHECK(unusable <= page->unusable);
	CHECK(page->token == NULL || *page->token != '\0');
}

static void same_pages(const struct s3_page *a, const struct s3_page *b)
{
	CHECK(a->n == b->n);
	for (size_t i = 0; i < a->n; i++) {
		CHECK(str_eq(key_of(a, i), key_of(b, i)));
		CHECK(a->entry[i].dir == b->entry[i].dir);
		CHECK(a->entry[i].st.size == b->entry[i].st.size);
	}
	CHECK((a->token == NULL) == (b->token == NULL));
	CHECK(a->token == NULL || strcmp(a->token, b->token) == 0);
}

static void error(struct str doc)
{
	AUTO_FREE char *body = heap_text(doc);
	struct s3_error e;

	CHECK(s3_error_parse(body, doc.n, &e));
	CHECK(memchr(e.code, '\0', sizeof(e.code)) != NULL);
	CHECK(memchr(e.region, '\0', sizeof(e.region)) != NULL);
	for (const char *c = e.code; *c != '\0'; c++)
		CHECK((unsigned char)*c > ' ' && *c != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	size_t piece = 1 + take_u8(&in);
	struct str doc = take_str(&in, in.n);
	struct s3_list_parser *whole, *cut;
	const struct s3_page *a = NULL, *b = NULL;
	int r = parse(doc, MAX(doc.n, 1), &whole, &a);

	CHECK(r == 0 || r == -EBADMSG || r == -EPROTO);
	CHECK((parse(doc, piece, &cut, &b) == 0) == (r == 0));
	if (r == 0) {
		check_page(a);
		same_pages(a, b);
	}
	s3_list_free(whole);
	s3_list_free(cut);
	error(doc);
	return 0;
}
