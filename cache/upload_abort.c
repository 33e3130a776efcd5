/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_abort.c - no upload is left behind (S17)
 *
 * A store keeps what was sent to an upload, and bills it, until somebody ends
 * or aborts that. So at any moment a record tells of each one there may be:
 * the file's own from before it is begun, then with the id that the store gave
 * it; and, of one that the file has no use for any more, a record without a
 * file, from before the file forgets it until the store has. Whoever finds a
 * record that nobody lives with aborts what it names (orphans.c, commit.c,
 * recover_file.c).
 *
 * Of one whose id never came back only the key and the time are known. It is
 * looked for among the uploads of that key, and is one that began at about
 * that time. Were it another's, who uploads to the same key at the same time,
 * then theirs is aborted: a tarn begins anew (C6).
 */
#include "cache/upload_abort.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

/* How far clocks may differ, which S3 allows, and a request be tried again. */
#define BEFORE (15 * 60 * NSEC_PER_SEC)
#define AFTER (60 * 60 * NSEC_PER_SEC)

char *upload_unknown(void)
{
	char *id;

	return asprintf(&id, "?%" PRId64, clock_wall_ns()) < 0 ? NULL : id;
}

struct search {
	struct ufs *ufs;
	struct str key;
	int64_t begun;
	const char *spare;
	struct cancel *cancel;
};

static int abort_if_it(void *arg, const struct ufs_upload *up)
{
	const struct search *s = arg;

	if (!str_eq(up->key, s->key) || up->begun < s->begun - BEFORE ||
	    up->begun > s->begun + AFTER ||
	    (s->spare != NULL && strcmp(up->id, s->spare) == 0))
		return 0;
	return s->ufs->ops->write->upload_abort(s->ufs, up->key, up->id,
						s->cancel);
}

int upload_abort(struct ufs *u, struct str key, const char *id,
		 const char *spare, struct cancel *cancel)
{
	const struct ufs_write_ops *ops = u->ops->write;
	struct search s = {
		.ufs = u, .key = key, .spare = spare, .cancel = cancel
	};

	if (ops->upload_abort == NULL)
		return 0;
	if (id[0] != '?')
		return ops->upload_abort(u, key, id, cancel);
	s.begun = strtoll(id + 1, NULL, 10);
	return ops->upload_list(u, key, abort_if_it, &s, cancel);
}
