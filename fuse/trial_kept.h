/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial_kept.h - what a trial found out, for the mounts to come
 *
 * A store that takes a change whatever it is bound to is to be named by the
 * mount (S15). But a mount that nobody told rw may be there to be read only:
 * with keys that may not write, or one of thousands that begin at once. It
 * puts nothing, and so finds out nothing. And no question that leaves nothing
 * behind for certain tells:
 *
 *   - a put that would fail for another reason as well (a wrong Content-MD5 or
 *     checksum) makes an object where that is ignored, too, and who ignores
 *     the one may ignore the other;
 *   - one that ends before its body does, once the store has said "100
 *     Continue", says nothing of stores that look at the condition when the
 *     body is there, and of any behind a proxy, which says that by itself;
 *     and a gateway may keep what came;
 *   - a DELETE of what is not there leaves a mark in a bucket with versions,
 *     and stores that obey If-Match in a PUT do not in a DELETE (MinIO);
 *   - the end of an upload that there never was is refused for that, and one
 *     that there is has been begun;
 *   - GET, HEAD and the source of a copy obey it where PUT does not.
 *
 * So what an earlier mount of this host found out when something was changed
 * there, or one with rw, or tarn doctor, is kept in staging-dir, where such
 * mounts have what they write, in a file for each bucket at its endpoint:
 *
 *     {"store": "https://host/bucket", "if-match": "ignored", "at": SECONDS}
 *
 * It is a note that nothing else hangs on: the first change of each mount is
 * a trial anyway, and renews it. What is old, of another address than its name
 * says, or not as it was written is none; who writes one removes those that
 * nobody wrote for as long.
 */
#ifndef FUSE_TRIAL_KEPT_H
#define FUSE_TRIAL_KEPT_H

#include "fuse/trial.h"
#include "ufs/ufs.h"

/* A store may have got a new version by then, or be another one. */
#define TRIAL_KEPT_DAYS 30

/*
 * What is known of the store u from dir, of which nobody else may write; now:
 * clock_wall_ns(). TRIAL_UNKNOWN: nothing. *at: when it was found out, s since
 * 1970.
 */
enum trial_answer trial_kept(const char *dir, const struct ufs *u, int64_t now,
			     int64_t *at);

/*
 * Keep what was found out now, unless that is TRIAL_UNKNOWN. dir is not made.
 * 0, or -errno: it is not kept.
 */
int trial_keep(const char *dir, const struct ufs *u, int64_t now,
	       enum trial_answer a);

/* "2026-01-31", or "" when there is no such time. */
const char *trial_date(int64_t at, char buf[static 32]);

#endif
