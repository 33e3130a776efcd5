/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_tier_refused.c - workers that are well and do not help, or speak
 * otherwise: what becomes of them, and what is said of it
 */
#include "ring/tier.h"

#include <check.h>
#include <errno.h>

#include "ring/tier_impl.h"
#include "tests/unit/tier_rig.h"

static struct rig rig;
static char log_path[64];

static void setup(void)
{
	int fd;

	snprintf(log_path, sizeof(log_path), "/tmp/ring_tier.XXXXXX");
	fd = mkstemp(log_path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	rig_start(&rig, &(struct tier_conf){ .max_age = 60 * NSEC_PER_SEC,
					     .hedge = 20 * NSEC_PER_SEC });
	ck_assert_int_eq(log_open(log_path), 0);
	log_set_level(LOG_LEVEL_INFO);
	for (enum stat_id s = 0; s < STAT_COUNT; s++)
		rig_grown(s);
}

static void teardown(void)
{
	rig_stop(&rig);
	log_open("stderr");
	unlink(log_path);
}

/* Lines of the log that have these words. */
static unsigned said(const char *words)
{
	FILE *f = fopen(log_path, "re");
	char line[1000];
	unsigned n = 0;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, words) != NULL;
	fclose(f);
	return n;
}

static int on_head(void *arg, const struct ufs_stat *st)
{
	(void)arg;
	ck_assert_str_eq(st->version, RIG_VERSION);
	return 0;
}

static int on_data(void *arg, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t *at = arg;
	size_t right = 0;

	/* check notes each assertion: one for all is a hundred times faster. */
	while (right < n && p[right] == object_byte(*at + right))
		right++;
	ck_assert_uint_eq(right, n);
	*at += n;
	return 0;
}

static void read_right(void)
{
	uint64_t at = 0;
	struct ufs_sink sink = { .arg = &at, .head = on_head, .data = on_data };

	ck_assert_int_eq(rig.tier->ops->get(rig.tier, str_of(RIG_KEY),
					    RIG_VERSION, 0, rig.size, &sink,
					    NULL),
			 0);
	ck_assert_uint_eq(at, rig.size);
}

static const unsigned elsewhere[] = { 421, 508 };

/* A mount that is wider than its workers are never makes them go down. */
START_TEST(who_serves_less_is_passed_by_and_stays_up)
{
	const unsigned times = 10;
	char line[128];

	for (int i = 0; i < RIG_WORKERS; i++)
		rig_fault(rig.worker[i], STATUS, elsewhere[_i]);
	for (unsigned i = 0; i < times; i++)
		read_right();
	ck_assert_uint_eq(rig.store_gets, times);
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 0);
	for (int i = 0; i < RIG_WORKERS; i++) {
		struct rig_worker *w = rig.worker[i];

		ck_assert_uint_eq(w->server.requests, times);
		ck_assert(rig_is(&rig, w, "up"));
		ck_assert_int_eq(rig_number(&rig, w, "errors"), 0);
		snprintf(line, sizeof(line), "worker %s ", w->name);
		ck_assert_uint_eq(said(line), 1);
	}
	/* What they do serve they are asked for. */
	rig_fault(rig.worker[0], NONE, 0);
	read_right();
	ck_assert_uint_eq(rig.worker[0]->gets, 1);
	ck_assert_uint_eq(rig.store_gets, times);
	rig_fault(rig.worker[0], STATUS, elsewhere[_i]);
	read_right();
	ck_assert_uint_eq(said("does not serve all"), RIG_WORKERS);
	ck_assert_uint_eq(said("is down"), 0);
	ck_assert_uint_eq(said("asked again"), 0);
}
END_TEST

/* D11: as long as it lasts, one line. */
START_TEST(another_protocol_is_bypassed_and_said_once)
{
	struct tier *t = tier_of(rig.tier);
	struct peer_call foreign = { .end = PEER_FOREIGN },
			 good = { .end = PEER_GOOD };
	struct worker *w;

	rig_fault(rig.worker[0], _i == 0 ? PROTOCOL : MUTE, 0);
	for (int i = 0; i < 3; i++)
		read_right();
	ck_assert_uint_eq(rig.worker[0]->server.requests, 1);
	ck_assert_uint_eq(rig.worker[1]->gets, 3);
	ck_assert_uint_eq(rig.store_gets, 0);
	ck_assert(rig_is(&rig, rig.worker[0], "quarantined"));
	ck_assert_uint_eq(said(_i == 0 ? "protocol 2" : "protocol none"), 1);
	/* As the probes of later minutes find it, and when it is replaced. */
	w = worker_get(t, rig.worker[0]->name);
	worker_note(t, w, &foreign, true);
	worker_note(t, w, &foreign, true);
	ck_assert_uint_eq(said("not asked for a minute"), 1);
	worker_note(t, w, &good, true);
	ck_assert(rig_is(&rig, rig.worker[0], "up"));
	worker_note(t, w, &foreign, false);
	ck_assert_uint_eq(said("not asked for a minute"), 2);
	worker_put(t, w);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("refused");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, who_serves_less_is_passed_by_and_stays_up, 0,
			    ARRAY_SIZE(elsewhere));
	tcase_add_loop_test(t, another_protocol_is_bypassed_and_said_once, 0,
			    2);
	return RUN_CASES(t);
}
