/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_put.c - may the store be written, and does it keep writers apart?
 *
 * Asked unless the options say ro. An object is put under a name that says
 * what it is, and removed in any case: before it is put, by removing nothing,
 * it is seen whether that will be allowed; and signals wait until it is gone.
 *
 * Keys that may not write are right for who only reads, and no failure unless
 * writing was asked for (rw).
 */
#include "fuse/doctor_impl.h"

#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "fuse/trial_kept.h"

#define PUT_FIX                                                                \
	"give these keys the right to write objects (s3:PutObject, and "       \
	"kms:GenerateDataKey if they are encrypted), or mount with ro"
#define REMOVE_FIX                                                             \
	"give these keys the right to remove objects (s3:DeleteObject): "      \
	"programs that write remove and rename files, too"
#define ONE_TEXT "tarn doctor put this here and will remove it\n"
#define TWO_TEXT "tarn doctor: the store should not have taken this\n"

static const struct ufs_cond absent = { UFS_IF_ABSENT, NULL };

/* For a signal's handler, as the check runs. */
static struct cancel stopped;
static volatile sig_atomic_t stopped_by;

static void on_signal(int sig)
{
	stopped_by = sig;
	cancel_set(&stopped);
}

static const int ending[] = { SIGINT, SIGTERM, SIGHUP };

static void hold_signals(struct sigaction was[static ARRAY_SIZE(ending)])
{
	struct sigaction sa = { .sa_handler = on_signal };

	stopped_by = 0;
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		sigaction(ending[i], &sa, &was[i]);
}

static void let_signals(const struct sigaction was[static ARRAY_SIZE(ending)])
{
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		sigaction(ending[i], &was[i], NULL);
	if (stopped_by != 0)
		raise(stopped_by);
}

static void failed(struct doctor *d, int err, const char *what,
		   const char *denied)
{
	const char *words = ufs_last_error();

	doctor_fail(d,
		    err == -EACCES
			? denied
			: "try again; if it stays, look at the store's log",
		    "%s: %s", what, *words != '\0' ? words : strerror(-err));
}

/* Nothing was put. */
static void not_put(struct doctor *d, int err, const char *what,
		    const char *denied)
{
	const char *words = ufs_last_error();

	if (err == -EACCES && !options_writes_asked(d->conf->options))
		doctor_skip(d,
			    "%s: %s: what is written would not reach the "
			    "store; with ro nothing is, with rw this is a "
			    "failure",
			    what, *words != '\0' ? words : strerror(-err));
	else
		failed(d, err, what, denied);
}

/* It is there: what does it say, and what does the store take beside it? */
static void look_at_it(struct doctor *d, struct ufs *u, const char *name,
		       const struct ufs_stat *made, int64_t took)
{
	const char *dir = options_text(d->conf->options, OPT_STAGING_DIR);
	struct ufs_stat st;
	char ms[32];
	int r = u->ops->stat(u, str_of(name), &st, &stopped);

	if (r < 0)
		failed(d, r, "it was put, and then not found", PUT_FIX);
	else if (st.size != made->size ||
		 strcmp(st.version, made->version) != 0)
		doctor_fail(d,
			    "look for what stands between here and the store; "
			    "a cache that answers for it is of no use here",
			    "what was put is told of as another version");
	else
		doctor_pass(d, "an object was put, told of and removed, %s%s",
			    doctor_ms(took, ms),
			    st.flags & UFS_WEAK ? "; the store gives no ETag"
						: "");
	d->absent = trial_answer(
	    trial_put(u, name, TWO_TEXT, &absent, &st, &stopped), -EEXIST);
	d->version =
	    trial_answer(trial_put_wrong(u, name, TWO_TEXT, &stopped), -ESTALE);
	d->has_written = true;
	/* For mounts that put nothing; where there is no staging-dir there is
	 * none that would look for it. */
	if (dir != NULL)
		(void)trial_keep(dir, u, clock_wall_ns(), d->version);
}

static void put(struct doctor *d, struct ufs *u, const char *name)
{
	int64_t began = clock_ns();
	struct ufs_stat st;
	int r = u->ops->write->remove(
	    u, str_of(name), &(struct ufs_cond){ UFS_IF_ANY, NULL }, &stopped);

	if (r < 0) {
		not_put(d, r, "nothing was put, as it could not be removed",
			REMOVE_FIX);
		return;
	}
	r = trial_put(u, name, ONE_TEXT, &absent, &st, &stopped);
	if (r == -EOPNOTSUPP) {
		/* As it is mounted then, nothing is bound. */
		d->absent = TRIAL_REFUSED;
		r = trial_put(u, name, ONE_TEXT,
			      &(struct ufs_cond){ UFS_IF_ANY, NULL }, &st,
			      &stopped);
	}
	if (r < 0)
		not_put(d, r, "an object cannot be put", PUT_FIX);
	else
		look_at_it(d, u, name, &st, clock_ns() - began);
	/* An answer may have been lost. */
	r = trial_remove(u, name, NULL);
	if (r < 0)
		failed(d, r, name, "remove it by hand");
}

/* Is it to be written, and can that be tried? If not, that is said. */
static bool can_write(struct doctor *d)
{
	if (options_number(d->conf->options, OPT_RO) != 0)
		doctor_skip(d, "to be read only (ro)");
	else if (!d->listed)
		doctor_skip(d, "LIST failed, or was not come to");
	else if (ufs_writable(d->ufs) == NULL &&
		 !options_writes_asked(d->conf->options))
		doctor_skip(d, "this kind of source can only be read");
	else if (ufs_writable(d->ufs) == NULL)
		doctor_fail(d, "mount with ro",
			    "this kind of source cannot be written");
	else
		return true;
	return false;
}

void doctor_put(struct doctor *d)
{
	struct sigaction was[ARRAY_SIZE(ending)];
	char name[TRIAL_NAME];

	if (!can_write(d))
		return;
	if (trial_name("doctor", name) < 0) {
		doctor_skip(d, "the kernel gives no random bytes");
		return;
	}
	hold_signals(was);
	put(d, ufs_writable(d->ufs), name);
	let_signals(was);
}

#define ALONE                                                                  \
	"see that each file has one writer at a time, and say so with "        \
	"conflict=last-wins; or use another store"

void doctor_conditions(struct doctor *d)
{
	const char *conflict = options_text(d->conf->options, OPT_CONFLICT);

	if (!d->has_written)
		doctor_skip(d, "nothing was put");
	else if (d->absent == TRIAL_OBEYED && d->version == TRIAL_OBEYED)
		doctor_pass(d, "If-None-Match and If-Match are obeyed: of two "
			       "writers of a file one is told");
	else if (strcmp(conflict, "last-wins") == 0)
		doctor_pass(d,
			    "If-None-Match is %s, If-Match %s; conflict="
			    "last-wins does not need them",
			    trial_word(d->absent), trial_word(d->version));
	else if (d->absent == TRIAL_UNKNOWN || d->version == TRIAL_UNKNOWN)
		doctor_skip(d, "If-None-Match is %s, If-Match %s",
			    trial_word(d->absent), trial_word(d->version));
	else if (d->absent == TRIAL_REFUSED || d->version == TRIAL_REFUSED)
		doctor_fail(d, ALONE,
			    "If-None-Match is %s, If-Match %s: what is written "
			    "will fail with EOPNOTSUPP",
			    trial_word(d->absent), trial_word(d->version));
	else
		doctor_fail(d, ALONE,
			    "If-None-Match is %s, If-Match %s: of two writers "
			    "of a file the last one wins, unnoticed",
			    trial_word(d->absent), trial_word(d->version));
}
