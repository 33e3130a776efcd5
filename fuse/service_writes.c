/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_writes.c - what of a mount is about writing
 */
#include "fuse/service_writes.h"

#include <errno.h>

#include "base/log.h"
#include "cache/staging.h"
#include "fuse/source.h"
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

/*
 * S15: a store that takes changes whatever they are bound to is named. T5: so
 * is one that takes none at all from us, before somebody has written much. One
 * of these may be said wrongly, where keys may write elsewhere below: it ends
 * nothing.
 */
static void look_at_store(struct service *s)
{
	int err = 0;
	enum trial_answer a = trial_store(s->store, &s->stopping, &err);

	atomic_store(&s->refused, err == -EACCES);
	atomic_store(&s->conditions, a);
	if (a == TRIAL_IGNORED || a == TRIAL_REFUSED)
		log_warn("tarn: %s: If-Match is %s by the store: %s", s->source,
			 trial_word(a),
			 a == TRIAL_IGNORED
			     ? "of two writers of a file the last one wins, "
			       "unnoticed"
			     : "what is written cannot be committed but with "
			       "conflict=last-wins");
	else if (err == -EACCES)
		log_warn("tarn: %s: these keys may not write directly below "
			 "it: if that is so everywhere, what is written fails "
			 "with EACCES when it is closed; give them the right "
			 "(s3:PutObject), or mount with ro",
			 s->source);
	else if (a == TRIAL_UNKNOWN)
		log_info("tarn: %s: it is not known whether the store obeys "
			 "If-Match: %s",
			 s->source, strerror(-err));
}

static void *looker(void *arg)
{
	look_at_store(arg);
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
	if (r == 0 && options_writes_asked(o) && is_to_be_tried(s)) {
		s->looked = true;
		look_at_store(s);
	}
	return r;
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
