/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_names.c - unit tests of the mapping between keys and names
 *
 * Hostile components come from a list and from combining what is special
 * with what stands before and after it; random ones from a generator whose
 * seed is printed.
 */
#include "fuse/names.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "tests/unit/run.h"

#define LIT(s)                                                                 \
	{                                                                      \
		s, sizeof(s) - 1                                               \
	}

/* Pieces that mean something to the rules, or to a careless decoder. */
static const struct str pieces[] = {
	LIT("."),
	LIT(".."),
	LIT("%"),
	LIT("%~"),
	LIT("%~e"),
	LIT("%~d"),
	LIT("%~x"),
	LIT("%~="),
	LIT("%~#"),
	LIT("%25"),
	LIT("%2e"),
	LIT("%2E"),
	LIT("%00"),
	LIT("\0"),
	LIT("\n"),
	LIT("\\"),
	LIT(" "),
	LIT("~"),
	LIT("a"),
	LIT("\xff"),
	LIT("\x80"),
	LIT("\xc3"),
	LIT("\xc3\xa9"),
	LIT("\xc0\xaf"),
	LIT("\xed\xa0\x80"),
	LIT("\xe2\x82"),
	LIT("\xf0\x9f\x98\x80"),
	LIT("\xf4\x90\x80"),
	LIT("e\xcc\x81"),
	LIT("\xef\xbf\xbd"),
	LIT("%~x%FF"),
	LIT("\xe2\x80\xae"),
	LIT("\x7f\x01\x1b[0m"),
};

/* Repeated to cross the limit of a name. */
static const struct str fillers[] = { LIT("x"),    LIT("\xe4\xb8\xad"),
				      LIT("\xff"), LIT("%"),
				      LIT("\0"),   LIT("\xf0\x9f\x98\x80") };

/* Any sequence of bytes but a slash is a component, up to a key's length. */
static void check_component(struct str comp, enum name_kind kind)
{
	char name[NAME_LEN_MAX + 1], again[NAME_LEN_MAX + 1];
	size_t n = name_from_key(comp, kind, name);
	struct name_key key;

	ck_assert_uint_le(n, NAME_LEN_MAX);
	ck_assert_uint_gt(n, 0);
	ck_assert_int_eq(name[n], '\0');
	ck_assert_uint_eq(strlen(name), n);
	ck_assert_ptr_null(strchr(name, '/'));
	ck_assert(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	ck_assert(name_is_utf8((struct str){ name, n }));
	ck_assert_int_eq(name_to_key((struct str){ name, n }, &key), 0);
	if (key.kind == NAME_LONG) {
		ck_assert(strncmp(name, "%~#", 3) == 0);
		ck_assert(str_starts(comp, (struct str){ key.comp, key.n }));
		ck_assert_uint_ge(key.n, 57); /* to list by */
		n = name_from_key(comp, kind, again);
		ck_assert_str_eq(again, name);
		return;
	}
	ck_assert_int_eq(key.kind, kind);
	ck_assert(str_eq((struct str){ key.comp, key.n }, comp));
	ck_assert_int_eq(key.comp[key.n], '\0');
}

static void check_both(struct str comp)
{
	check_component(comp, NAME_PLAIN);
	if (comp.n > 0)
		check_component(comp, NAME_TWIN);
}

static uint64_t seed;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static struct str join(char *buf, struct str a, struct str b, struct str c)
{
	memcpy(buf, a.p, a.n);
	memcpy(buf + a.n, b.p, b.n);
	memcpy(buf + a.n + b.n, c.p, c.n);
	return (struct str){ buf, a.n + b.n + c.n };
}

START_TEST(hostile_components_come_back_from_their_names)
{
	const size_t n = ARRAY_SIZE(pieces);
	char buf[64];
	size_t tried = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++)
			for (size_t k = 0; k < 3; k++) {
				struct str c = STR_EMPTY;

				if (k > 0)
					c = pieces[(k + i) % n];
				check_both(join(buf, pieces[i], pieces[j], c));
				tried++;
			}
	for (size_t i = 0; i < n; i++, tried++)
		check_both(pieces[i]);
	check_both(STR_EMPTY);
	ck_assert_uint_ge(tried, 300);
}
END_TEST

START_TEST(components_of_every_length_come_back_or_get_an_alias)
{
	char buf[2 * UFS_KEY_MAX];

	for (size_t f = 0; f < ARRAY_SIZE(fillers); f++)
		for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
			size_t n = 0;

			while (n + fillers[f].n + pieces[p].n <= UFS_KEY_MAX) {
				struct str c;

				memcpy(buf + n, fillers[f].p, fillers[f].n);
				n += fillers[f].n;
				if (n > 270 && n % 61 != 0)
					continue;
				memcpy(buf + n, pieces[p].p, pieces[p].n);
				c = (struct str){ buf, n + pieces[p].n };
				check_both(c);
				/* And with what is special first. */
				memmove(buf + n + pieces[p].n, buf, n);
				c.p = buf + n;
				check_both(c);
			}
		}
}
END_TEST

START_TEST(random_components_come_back_from_their_names)
{
	char buf[UFS_KEY_MAX];

	for (int round = 0; round < 30000; round++) {
		uint64_t r = next_random();
		size_t max = r % 16 == 0 ? UFS_KEY_MAX : 12, n = 0;
		size_t want = (r >> 8) % (max + 1);

		while (n < want) {
			uint64_t x = next_random();
			const struct str *p = &pieces[x % ARRAY_SIZE(pieces)];

			if (x >> 32 & 1 && n + p->n <= want) {
				memcpy(buf + n, p->p, p->n);
				n += p->n;
			} else {
				buf[n++] = (x >> 40 & 0xff) == '/'
					       ? '_'
					       : (char)(x >> 40 & 0xff);
			}
		}
		check_both((struct str){ buf, n });
	}
}
END_TEST

/*
 * Whatever name is accepted must be the one that its component gets: there
 * are not two names for one key.
 */
static void check_canonical(struct str name)
{
	char again[NAME_LEN_MAX + 1];
	struct name_key key;
	size_t n;

	if (name_to_key(name, &key) < 0 || key.kind == NAME_LONG)
		return;
	n = name_from_key((struct str){ key.comp, key.n }, key.kind, again);
	ck_assert(str_eq(name, (struct str){ again, n }));
}

START_TEST(no_key_has_two_names)
{
	static const char alphabet[] = "%~xed=#.25EF0fA\xc3\xa9/";
	char buf[24];

	for (int round = 0; round < 200000; round++) {
		uint64_t r = next_random();
		size_t n = r % 10;

		memcpy(buf, "%~x", 3);
		for (size_t i = 0; i < n; i++)
			buf[3 + i] =
			    alphabet[next_random() % (sizeof(alphabet) - 1)];
		check_canonical((struct str){ buf, n + 3 });
		check_canonical((struct str){ buf + 3, n });
		if (n > 0)
			check_canonical((struct str){ buf + 2, n + 1 });
	}
}
END_TEST

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define HEX32 "0123456789abcdef0123456789abcdef"

static const struct str not_names[] = {
	LIT(""),
	LIT("."),
	LIT(".."),
	LIT("a\0b"),
	LIT("a/b"),
	LIT("\xff"),
	LIT("\xc0\xaf"),
	LIT("\xed\xa0\x80"),
	LIT("%~"),
	LIT("%~a"),
	LIT("%~E"),
	LIT("%~ee"),
	LIT("%~dd"),
	LIT("%~X%2E"),
	LIT("%~x"),
	LIT("%~xa"),
	LIT("%~x%"),
	LIT("%~x%2"),
	LIT("%~x%2e"),
	LIT("%~x%2E%2e"),
	LIT("%~x."),
	LIT("%~x.."),
	LIT("%~x.%2E"),
	LIT("%~x%2E%2E%2E"),
	LIT("%~x%41"),
	LIT("%~x%2F"),
	LIT("%~x%2F%FF"),
	LIT("%~x%C3%A9"),
	LIT("%~x%C3%A9%FF"),
	LIT("%~x%FFa%41"),
	LIT("%~x%ff"),
	LIT("%~x%FG"),
	LIT("%~x%25"),
	LIT("%~x%~"),
	LIT("%~x%~a"),
	LIT("%~x\xff"),
	LIT("%~="),
	LIT("%~=."),
	LIT("%~=.."),
	LIT("%~=%~e"),
	LIT("%~=%~d"),
	LIT("%~=%~=a"),
	LIT("%~=%~x"),
	LIT("%~=%~xa"),
	LIT("%~=%~#a~" HEX32),
	LIT("%~#"),
	LIT("%~#a~" HEX32),
	LIT("%~#~" HEX32),
	/* 180 bytes shown, but: a special mark, a bad digit, no tilde */
	LIT("%~#%~e" HUNDRED TEN TEN TEN TEN TEN TEN TEN "0123456~" HEX32),
	LIT("%~#" HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN
	    "~0123456789abcdeF0123456789abcdef"),
	LIT("%~#" HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN "-" HEX32),
	LIT("%~#" HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN "0~" HEX32),
	LIT("%~#" HUNDRED TEN TEN TEN TEN TEN TEN TEN "012345~" HEX32),
	LIT("%~#%~x%41" HUNDRED TEN TEN TEN TEN TEN TEN TEN "0123~" HEX32),
	LIT("%~#%~=%~e" HUNDRED TEN TEN TEN TEN TEN TEN TEN "0123~" HEX32),
	LIT(HUNDRED HUNDRED TEN TEN TEN TEN TEN "012345"),
};

START_TEST(what_is_not_canonical_is_no_name)
{
	struct name_key key = { .kind = NAME_DATA, .n = 7 };

	ck_assert_int_eq(name_to_key(not_names[_i], &key), -ENOENT);
	ck_assert(key.kind == NAME_DATA && key.n == 7);
}
END_TEST

static const struct {
	struct str comp;
	enum name_kind kind;
	const char *name;
} examples[] = {
	{ LIT("model.bin"), NAME_PLAIN, "model.bin" },
	{ LIT(" a\n"), NAME_PLAIN, " a\n" },
	{ LIT("a%~"), NAME_PLAIN, "a%~" },
	{ LIT("..."), NAME_PLAIN, "..." },
	{ LIT("100%"), NAME_PLAIN, "100%" },
	{ LIT("e\xcc\x81"), NAME_PLAIN, "e\xcc\x81" },
	{ LIT(""), NAME_PLAIN, "%~e" },
	{ LIT(""), NAME_DATA, "%~d" },
	{ LIT("."), NAME_PLAIN, "%~x%2E" },
	{ LIT(".."), NAME_PLAIN, "%~x%2E%2E" },
	{ LIT("%~"), NAME_PLAIN, "%~x%25~" },
	{ LIT("%~e"), NAME_PLAIN, "%~x%25~e" },
	{ LIT("a\0b"), NAME_PLAIN, "%~xa%00b" },
	{ LIT(".\0"), NAME_PLAIN, "%~x.%00" },
	{ LIT("50%\xff"), NAME_PLAIN, "%~x50%25%FF" },
	{ LIT("\xc3\xa9\xc3"), NAME_PLAIN, "%~x\xc3\xa9%C3" },
	{ LIT("\xed\xa0\x80"), NAME_PLAIN, "%~x%ED%A0%80" },
	{ LIT("a"), NAME_TWIN, "%~=a" },
	{ LIT(".."), NAME_TWIN, "%~=%~x%2E%2E" },
	{ LIT("%~=a"), NAME_PLAIN, "%~x%25~=a" },
};

START_TEST(the_rules_examples_have_the_names_that_the_rules_say)
{
	char name[NAME_LEN_MAX + 1];
	struct name_key key;

	name_from_key(examples[_i].comp, examples[_i].kind, name);
	ck_assert_str_eq(name, examples[_i].name);
	ck_assert_int_eq(name_to_key(str_of(name), &key), 0);
	ck_assert_int_eq(key.kind, examples[_i].kind);
	ck_assert(str_eq((struct str){ key.comp, key.n }, examples[_i].comp));
}
END_TEST

START_TEST(an_alias_is_180_bytes_cut_at_a_character_and_half_a_sha256)
{
	char comp[300], name[NAME_LEN_MAX + 1];

	memset(comp, 'a', sizeof(comp));
	/* printf 'a%.0s' {1..255} is a name, one more is not. */
	ck_assert_uint_eq(
	    name_from_key((struct str){ comp, 255 }, NAME_PLAIN, name), 255);
	ck_assert_uint_eq(
	    name_from_key((struct str){ comp, 256 }, NAME_PLAIN, name),
	    3 + 180 + 1 + 32);
	/* What `sha256sum` says of 256 times `a`. */
	ck_assert_str_eq(name + 3 + 180, "~02d7160d77e18c6447be80c2e355c7ed");
	/* Characters of three bytes: 180 is a multiple; shifted by one not. */
	for (size_t i = 0; i < 99; i++)
		memcpy(comp + 1 + 3 * i, "\xe4\xb8\xad", 3);
	ck_assert_uint_eq(
	    name_from_key((struct str){ comp, 298 }, NAME_PLAIN, name),
	    3 + 178 + 1 + 32);
}
END_TEST

START_TEST(two_long_components_with_one_start_have_two_aliases)
{
	char comp[400], one[NAME_LEN_MAX + 1], two[NAME_LEN_MAX + 1];

	memset(comp, 'a', sizeof(comp));
	name_from_key((struct str){ comp, 400 }, NAME_PLAIN, one);
	comp[399] = 'b';
	name_from_key((struct str){ comp, 400 }, NAME_PLAIN, two);
	ck_assert_int_eq(strncmp(one, two, 183), 0);
	ck_assert_str_ne(one, two);
	name_from_key((struct str){ comp, 400 }, NAME_TWIN, one);
	ck_assert_str_ne(one, two);
}
END_TEST

START_TEST(creating_is_refused_for_names_that_no_key_should_have)
{
	char name[NAME_LEN_MAX + 2];

	memset(name, 'a', sizeof(name));
	ck_assert_int_eq(name_check_new((struct str){ name, 255 }), 0);
	ck_assert_int_eq(name_check_new((struct str){ name, 256 }),
			 -ENAMETOOLONG);
	ck_assert_int_eq(name_check_new(str_of("a%~")), 0);
	ck_assert_int_eq(name_check_new(str_of("%~a")), -EINVAL);
	ck_assert_int_eq(name_check_new(str_of("%~=a")), -EINVAL);
	ck_assert_int_eq(name_check_new(str_of("a\xff")), -EILSEQ);
	ck_assert_int_eq(name_check_new(str_of("")), -EINVAL);
	ck_assert_int_eq(name_check_new(str_of("..")), -EINVAL);
	ck_assert_int_eq(name_check_new((struct str){ "a/b", 3 }), -EINVAL);
	ck_assert_int_eq(name_check_new((struct str){ "a\0", 2 }), -EINVAL);
}
END_TEST

START_TEST(utf8_is_what_rfc_3629_says)
{
	static const struct str good[] = {
		LIT(""),
		LIT("\x7f"),
		LIT("\xc2\x80"),
		LIT("\xdf\xbf"),
		LIT("\xe0\xa0\x80"),
		LIT("\xed\x9f\xbf"),
		LIT("\xee\x80\x80"),
		LIT("\xef\xbf\xbf"),
		LIT("\xf0\x90\x80\x80"),
		LIT("\xf4\x8f\xbf\xbf"),
	};
	static const struct str bad[] = {
		LIT("\x80"),
		LIT("\xbf"),
		LIT("\xc0\x80"),
		LIT("\xc1\xbf"),
		LIT("\xe0\x9f\xbf"),
		LIT("\xed\xa0\x80"),
		LIT("\xed\xbf\xbf"),
		LIT("\xf0\x8f\xbf\xbf"),
		LIT("\xf4\x90\x80\x80"),
		LIT("\xf5\x80\x80\x80"),
		LIT("\xfe"),
		LIT("\xff"),
		LIT("\xc2"),
		LIT("\xe1\x80"),
		LIT("\xf1\x80\x80"),
		LIT("\xc2"
		    "a"),
		LIT("\xe1\x80"
		    "a"),
		LIT("\xf1\x80\x80"
		    "a"),
		LIT("\xf8\x88\x80\x80\x80"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		ck_assert_msg(name_is_utf8(good[i]), "good %zu", i);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(!name_is_utf8(bad[i]), "bad %zu", i);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("names");

	seed = 0x9e3779b97f4a7c15u ^ (uint64_t)getpid();
	printf("seed %#jx\n", (uintmax_t)seed);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, hostile_components_come_back_from_their_names);
	tcase_add_test(t, components_of_every_length_come_back_or_get_an_alias);
	tcase_add_test(t, random_components_come_back_from_their_names);
	tcase_add_test(t, no_key_has_two_names);
	tcase_add_loop_test(t, what_is_not_canonical_is_no_name, 0,
			    (int)ARRAY_SIZE(not_names));
	tcase_add_loop_test(
	    t, the_rules_examples_have_the_names_that_the_rules_say, 0,
	    (int)ARRAY_SIZE(examples));
	tcase_add_test(
	    t, an_alias_is_180_bytes_cut_at_a_character_and_half_a_sha256);
	tcase_add_test(t, two_long_components_with_one_start_have_two_aliases);
	tcase_add_test(t,
		       creating_is_refused_for_names_that_no_key_should_have);
	tcase_add_test(t, utf8_is_what_rfc_3629_says);
	return RUN_CASES(t);
}
