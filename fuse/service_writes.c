/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_writes.c - what of a mount is about writing
 */
#include "fuse/service_writes.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/staging.h"
#include "fuse/source.h"
#include "fuse/trial_kept.h"
#include "ufs/ufs.h"

/* Of a lack that passes, and so does not say what this mount can do. */
static bool is_lack(int err)
{
	return err == -ENOMEM || err == -EAGAIN || err == -EMFILE ||
	       err == -ENFILE || err == -ENOSPC || err == -EDQUOT;
}

/* A directory looks at versions; and with last-wins nothing is bound. */
static bool is_to_be_tried(const struct service *s)
{
	return s->staging != NULL && s->store->ops->reach != NULL &&
	       !staging_last_wins(s->staging);
}

/* when: "", or how that is known. */
static void name_it(const struct service *s, enum trial_answer a,
		    const char *when)
{
	log_warn("tarn: %s: If-Match is %s by the store%s: %s", s->source,
		 trial_word(a), when,
		 a == TRIAL_IGNORED
		     ? "of two writers of a file the last one wins, "
		       "unnoticed"
		     : "what is written cannot be committed but with "
		       "conflict=last-wins");
}

static bool is_lacking(enum trial_answer a)
{
	return a == TRIAL_IGNORED || a == TRIAL_REFUSED;
}

/* Named is what was not by this mount, and also what has got better. */
static void found_out(struct service *s, enum trial_answer a)
{
	enum trial_answer said =
	    s->looked ? TRIAL_UNKNOWN : atomic_load(&s->conditions);
	const char *dir = options_text(s->options, OPT_STAGING_DIR);
	int64_t now = clock_wall_ns();
	int r;

	atomic_store(&s->conditions_at, now / NSEC_PER_SEC);
	atomic_store(&s->conditions, a);
	if (is_lacking(a) && a != said)
		name_it(s, a, "");
	else if (!is_lacking(a) && is_lacking(said))
		log_info("tarn: %s: If-Match is %s by the store by now",
			 s->source, trial_word(a));
	r = trial_keep(dir, s->store, now, a);
	if (r < 0)
		log_info("tarn: what the store does with If-Match is not kept "
			 "in %s for the next mount: %s",
			 dir, strerror(-r));
}

/*
 * S15: a store that takes changes whatever they are bound to is named. T5: so
 * is one that takes none at all from us, before somebody has written much. One
 * of these may be said wrongly, where keys may write elsewhere below: it ends
 * nothing. False: nothing was found out.
 */
static bool look_at_store(struct service *s)
{
	int err = 0;
	enum trial_answer a = trial_store(s->store, &s->stopping, &err);

	atomic_store(&s->refused, err == -EACCES);
	if (a != TRIAL_UNKNOWN)
		found_out(s, a);
	else if (err == -EACCES)
		log_warn("tarn: %s: these keys may not write directly below "
			 "it: if that is so everywhere, what is written fails "
			 "with EACCES when it is closed; give them the right "
			 "(s3:PutObject), or mount with ro",
			 s->source);
	else if (atomic_load(&s->conditions) == TRIAL_UNKNOWN)
		log_info("tarn: %s: it is not known whether the store obeys "
			 "If-Match: %s",
			 s->source, strerror(-err));
	return a != TRIAL_UNKNOWN;
}

static void recall(struct service *s)
{
	const char *dir = options_text(s->options, OPT_STAGING_DIR);
	int64_t at = 0;

	atomic_store(&s->conditions,
		     trial_kept(dir, s->store, clock_wall_ns(), &at));
	atomic_store(&s->conditions_at, at);
}

/* What a mount before this one found out is all that is known. */
static void say_recalled(const struct service *s)
{
	enum trial_answer a = atomic_load(&s->conditions);
	char date[32], when[64];

	snprintf(when, sizeof(when), ", as was found out on %s",
		 trial_date(atomic_load(&s->conditions_at), date));
	if (is_lacking(a))
		name_it(s, a, when);
	else if (a == TRIAL_UNKNOWN && !s->looked)
		log_info("tarn: %s: it is not known yet whether the store "
			 "obeys If-Match: that is tried at the first change; "
			 "`tarn doctor` tells",
			 s->source);
}

static void *looker(void *arg)
{
	(void)look_at_store(arg);
	return NULL;
}

void writes_begin(void *arg)
{
	struct service *s = arg;
	int r;

	if (!is_to_be_tried(s) || s->looked)
		return;
	r = pthread_create(&s->looker, NULL, looker, s);
	s->looker_runs = r == 0;
	if (r != 0)
		log_info("tarn: %s: it is not known whether the store obeys "
			 "If-Match: %s",
			 s->source, strerror(r));
}

void writes_end(struct service *s)
{
	if (s->looker_runs)
		must(pthread_join(s->looker, NULL));
	s->looker_runs = false;
}

int writes_open(struct service *s, char why[static WHY_MAX])
{
	const struct options *o = s->options;
	int r = 0;

	if (options_number(o, OPT_RO) != 0)
		return 0;
	if (!options_is_set(o, OPT_STAGING_DIR)) /* there is no HOME */
		r = source_writes_defaults(s->options, true, why);
	if (r == 0)
		r = source_staging(o, s->cache, &s->staging, why);
	if (r < 0 && !options_writes_meant(o) && !is_lack(r)) {
		snprintf(s->read_only, sizeof(s->read_only), "%s", why);
		log_warn("tarn: %s: read only, as nothing can be written: %s; "
			 "mount with ro to have it so, or with rw to have it "
			 "refused",
			 s->source, s->read_only);
		return 0;
	}
	if (r < 0) {
		size_t n = strlen(why);

		snprintf(why + n, WHY_MAX - n,
			 "; a read-only mount (ro) does without");
	}
	if (r < 0 || !is_to_be_tried(s))
		return r;
	s->looked = options_writes_asked(o);
	recall(s);
	if (!s->looked || !look_at_store(s))
		say_recalled(s);
	return 0;
}

void writes_print(const struct service *s, FILE *f)
{
	const struct options *o = s->options;
	enum trial_answer a = atomic_load(&s->conditions);
	size_t waiting;

	if (s->read_only[0] != '\0')
		fprintf(f,
			"  note         read only, as nothing can be "
			"written: %s\n",
			s->read_only);
	if (s->staging == NULL)
		return;
	fprintf(f, "  staging      %s, commit=%s\n",
		options_text(o, OPT_STAGING_DIR), options_text(o, OPT_COMMIT));
	waiting = staging_waiting(s->staging);
	if (waiting > 0)
		fprintf(f,
			"  recover      %zu file%s written before %s not in "
			"the store: `tarn recover %s` lists %s\n",
			waiting, waiting == 1 ? "" : "s",
			waiting == 1 ? "is" : "are", s->dir,
			waiting == 1 ? "it" : "them");
	if (a == TRIAL_IGNORED)
		fprintf(f, "  note         the store ignores If-Match: of two "
			   "writers of a file the last one wins, unnoticed\n");
	if (a == TRIAL_REFUSED)
		fprintf(f, "  note         the store refuses If-Match: nothing "
			   "can be committed but with conflict=last-wins\n");
	if (atomic_load(&s->refused))
		fprintf(f, "  note         these keys may not write directly "
			   "below the source: if that is so everywhere, what "
			   "is written fails when it is closed\n");
}
