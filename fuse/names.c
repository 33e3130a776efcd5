/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - every key has exactly one path (rules N1 to N8)
 *
 * There is one encoder. A name is decoded by undoing what the encoder may
 * have done and encoding the result again: only a name that comes out as it
 * went in is canonical, so that no second spelling can slip through.
 */
#include "fuse/names.h"

/* SHA256_Update and its like neither allocate nor fail; EVP does both. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <errno.h>

#define LONG_KEPT 180 /* bytes of the too long name that its alias shows */
#define LONG_KEPT_MIN (LONG_KEPT - 3) /* cut before a character of four */
#define LONG_HEX 32
#define MARK_LEN 3 /* "%~x" */

/* What the encoder writes to; hash may be NULL. */
struct sink {
	char *buf;
	size_t size;
	size_t n; /* bytes written, also those beyond size */
	SHA256_CTX *hash;
};

static void put(struct sink *s, const char *p, size_t n)
{
	if (s->n < s->size)
		memcpy(s->buf + s->n, p, MIN(n, s->size - s->n));
	s->n += n;
	if (s->hash != NULL)
		SHA256_Update(s->hash, p, n);
}

static void put_escaped(struct sink *s, unsigned char byte)
{
	static const char digits[] = "0123456789ABCDEF";
	char out[3] = { '%', digits[byte >> 4], digits[byte & 15] };

	put(s, out, sizeof(out));
}

static bool is_tail(unsigned char c, unsigned char low, unsigned char high)
{
	return c >= low && c <= high;
}

/*
 * Bytes of the UTF-8 character that s begins with, or 0 when it begins with
 * none. The second byte's range keeps out long forms, surrogates and what
 * lies above U+10FFFF (RFC 3629, section 4).
 */
static size_t utf8_len(struct str s)
{
	unsigned char c = (unsigned char)s.p[0], low = 0x80, high = 0xbf;
	size_t n;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (s.n < n)
		return 0;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < n; i++) {
		if (!is_tail((unsigned char)s.p[i], low, high))
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}

static struct str skip(struct str s, size_t n)
{
	return (struct str){ s.p + n, s.n - n };
}

bool name_is_utf8(struct str s)
{
	while (s.n > 0) {
		size_t n = utf8_len(s);

		if (n == 0)
			return false;
		s = skip(s, n);
	}
	return true;
}

static bool is_dots(struct str s)
{
	return (s.n == 1 || s.n == 2) && s.p[0] == '.' && s.p[s.n - 1] == '.';
}

static bool starts(struct str s, const char *mark)
{
	return str_starts(s, str_of(mark));
}

/* N1: is the component its own name (but for its length)? */
static bool is_ordinary(struct str comp)
{
	return comp.n > 0 && !is_dots(comp) && !starts(comp, "%~") &&
	       memchr(comp.p, '\0', comp.n) == NULL && name_is_utf8(comp);
}

static void put_special(struct sink *s, struct str comp)
{
	bool dots = is_dots(comp);

	put(s, "%~x", MARK_LEN);
	while (comp.n > 0) {
		size_t n = utf8_len(comp);
		char c = comp.p[0];

		if (n == 0 || c == '\0' || c == '%' || dots) {
			put_escaped(s, (unsigned char)c);
			n = 1;
		} else {
			put(s, comp.p, n);
		}
		comp = skip(comp, n);
	}
}

/* The name by N1 to N5, however long. */
static void encode(struct sink *s, struct str comp, enum name_kind kind)
{
	if (kind == NAME_DATA) {
		put(s, "%~d", MARK_LEN);
		return;
	}
	if (kind == NAME_TWIN)
		put(s, "%~=", MARK_LEN);
	if (comp.n == 0)
		put(s, "%~e", MARK_LEN);
	else if (is_ordinary(comp))
		put(s, comp.p, comp.n);
	else
		put_special(s, comp);
}

static void put_hex(char *out, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
}

/* N6: name holds the first bytes of what is too long. */
static size_t shorten(struct str comp, enum name_kind kind,
		      char name[static NAME_LEN_MAX + 1])
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	struct sink s = { 0 };
	size_t kept = LONG_KEPT;
	SHA256_CTX hash;

	s.hash = &hash;
	SHA256_Init(&hash);
	encode(&s, comp, kind);
	SHA256_Final(sum, &hash);
	/* What follows the cut must not be the middle of a character. */
	while (((unsigned char)name[kept] & 0xc0) == 0x80)
		kept--;
	memmove(name + MARK_LEN, name, kept);
	memcpy(name, "%~#", MARK_LEN);
	kept += MARK_LEN;
	name[kept++] = '~';
	put_hex(name + kept, sum, LONG_HEX / 2);
	return kept + LONG_HEX;
}

size_t name_from_key(struct str comp, enum name_kind kind,
		     char name[static NAME_LEN_MAX + 1])
{
	struct sink s = { .buf = name, .size = NAME_LEN_MAX };

	encode(&s, comp, kind);
	if (s.n > NAME_LEN_MAX)
		s.n = shorten(comp, kind, name);
	name[s.n] = '\0';
	return s.n;
}

static int unhex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * Undo put_special(). cut: the end may be missing, as in an alias, and half
 * an escape there means nothing.
 */
static int decode_special(struct str s, bool cut, struct name_key *out)
{
	out->n = 0;
	while (s.n > 0) {
		int hi, lo;

		if (s.p[0] != '%') {
			out->comp[out->n++] = s.p[0];
			s = skip(s, 1);
			continue;
		}
		hi = s.n > 1 ? unhex(s.p[1]) : -1;
		lo = s.n > 2 ? unhex(s.p[2]) : -1;
		if (cut && s.n <= 2 && (s.n == 1 || hi >= 0))
			break;
		if (hi < 0 || lo < 0)
			return -ENOENT;
		out->comp[out->n++] = (char)(hi << 4 | lo);
		s = skip(s, 3);
	}
	return 0;
}

/* A name by N1 to N4, or (cut) the first bytes of one. */
static int decode(struct str s, bool cut, struct name_key *out)
{
	if (starts(s, "%~x"))
		return decode_special(skip(s, MARK_LEN), cut, out);
	if (starts(s, "%~"))
		return -ENOENT;
	memcpy(out->comp, s.p, s.n);
	out->n = s.n;
	return 0;
}

static bool is_lower_hex(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
	}
	return true;
}

/*
 * Are the first bytes of a special component spelt as put_special() does? Of
 * its last escape up to two bytes may be missing.
 */
static bool is_special_start(struct str shown, const struct name_key *key)
{
	char again[LONG_KEPT];
	struct sink s = { .buf = again, .size = sizeof(again) };

	put_special(&s, (struct str){ key->comp, key->n });
	return s.n <= shown.n && shown.n - s.n <= 2 &&
	       memcmp(again, shown.p, s.n) == 0;
}

static int decode_long(struct str name, struct name_key *out)
{
	struct str shown, hex;
	int r;

	if (name.n < MARK_LEN + LONG_KEPT_MIN + 1 + LONG_HEX ||
	    name.n > MARK_LEN + LONG_KEPT + 1 + LONG_HEX)
		return -ENOENT;
	shown = skip(name, MARK_LEN);
	shown.n -= LONG_HEX + 1;
	hex = skip(name, name.n - LONG_HEX);
	if (name.p[name.n - LONG_HEX - 1] != '~' || !is_lower_hex(hex))
		return -ENOENT;
	if (starts(shown, "%~="))
		shown = skip(shown, MARK_LEN);
	r = decode(shown, true, out);
	if (r < 0)
		return r;
	if (starts(shown, "%~x") && !is_special_start(shown, out))
		return -ENOENT;
	out->kind = NAME_LONG;
	return 0;
}

/* Fills out also where the name turns out not to be canonical. */
static int parse(struct str name, struct name_key *out)
{
	char again[NAME_LEN_MAX + 1];
	int r = 0;

	if (name.n == 0 || name.n > NAME_LEN_MAX || is_dots(name) ||
	    memchr(name.p, '\0', name.n) != NULL ||
	    memchr(name.p, '/', name.n) != NULL || !name_is_utf8(name))
		return -ENOENT;
	out->kind = NAME_PLAIN;
	out->n = 0;
	if (!starts(name, "%~"))
		return decode(name, false, out);
	if (starts(name, "%~#"))
		return decode_long(name, out);
	if (str_eq(name, str_of("%~e")))
		return 0;
	if (str_eq(name, str_of("%~d"))) {
		out->kind = NAME_DATA;
		return 0;
	}
	if (starts(name, "%~=")) {
		out->kind = NAME_TWIN;
		name = skip(name, MARK_LEN);
	}
	r = decode(name, false, out);
	if (r == 0) {
		struct str comp = { out->comp, out->n };
		size_t n = name_from_key(comp, NAME_PLAIN, again);

		/* "%~=" alone: the empty component is no object's. */
		if (out->n == 0 || !str_eq(name, (struct str){ again, n }))
			r = -ENOENT;
	}
	return r;
}

int name_to_key(struct str name, struct name_key *out)
{
	struct name_key key;
	int r = parse(name, &key);

	if (r < 0)
		return r;
	out->kind = key.kind;
	out->n = key.n;
	memcpy(out->comp, key.comp, key.n);
	out->comp[key.n] = '\0';
	return 0;
}

int name_check_new(struct str name)
{
	if (name.n == 0 || is_dots(name) || starts(name, "%~") ||
	    memchr(name.p, '\0', name.n) != NULL ||
	    memchr(name.p, '/', name.n) != NULL)
		return -EINVAL;
	if (!name_is_utf8(name))
		return -EILSEQ;
	return name.n > NAME_LEN_MAX ? -ENAMETOOLONG : 0;
}
