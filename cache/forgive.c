/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forgive.c - a name is another file's now: its error is not told any more
 *
 * That is written into the record of the file that failed, for the mounts that
 * come after this one: by the file itself as long as somebody reads it, as it
 * has the lock then; else by whoever claims it.
 */
#include "cache/staging_impl.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/recover.h"

#define PATIENCE (200 * NSEC_PER_MSEC) /* its last user just closed it */

/* Who reads it has its lock, so its record is for it to write. */
static int note_living(struct staged *f)
{
	int r;

	lock_take(&f->lock);
	f->told = true;
	lock_drop(&f->lock);
	r = staged_record_sync(f);
	staged_let_go(f);
	return r;
}

/* One that has ended, maybe in a mount before this one. */
static int note_ended(struct staging *s, const char *id)
{
	struct recover_file f;
	int r = recover_claim_in(s->dir, id, PATIENCE, &f);

	/* It went with its name, or is just being brought back. */
	if (r == -ENOENT || r == -EBUSY)
		return 0;
	if (r == 0) {
		r = recover_note_told(&f);
		recover_close(&f);
	}
	return r;
}

/* For the mounts that come after this one. */
static void note_told(struct staging *s, const char *id)
{
	struct staged *f = failed_living(s, id);
	int r = f != NULL ? note_living(f) : note_ended(s, id);

	if (r < 0)
		log_warn("staging: %s.json: it cannot be noted that its name "
			 "was taken: %s",
			 id, strerror(-r));
}

void staging_forgive(struct staging *s, struct str key)
{
	char(*ids)[STAGED_ID + 1];
	size_t n = failed_ids(s, &key, &ids);

	for (size_t i = 0; i < n; i++) {
		note_told(s, ids[i]);
		failed_told(s, ids[i]);
	}
	free(ids);
}
