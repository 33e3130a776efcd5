/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial.c - small objects that find out what a store does with changes
 */
#include "fuse/trial.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"

#define PATIENCE (5 * NSEC_PER_SEC)
#define LOOK_NS (50 * NSEC_PER_MSEC) /* at stop */
#define REMOVES 3
/* As MD5 is written; nothing has this one. */
#define WRONG_VERSION "00000000000000000000000000000000"

const char *trial_word(enum trial_answer a)
{
	static const char *const words[] = { "unknown", "obeyed", "ignored",
					     "refused" };

	return words[a];
}

int trial_name(const char *what, char out[static TRIAL_NAME])
{
	uint64_t n;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return -EIO;
	snprintf(out, TRIAL_NAME, ".tarn-%.16s-%016" PRIx64, what, n);
	return 0;
}

static int text_read(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return 0;
}

int trial_put(struct ufs *u, const char *name, const char *text,
	      const struct ufs_cond *cond, struct ufs_stat *st,
	      struct cancel *cancel)
{
	const struct ufs_body body = { .arg = (void *)text,
				       .size = strlen(text),
				       .read = text_read };

	return u->ops->write->put(u, str_of(name), &body, cond, st, cancel);
}

int trial_put_wrong(struct ufs *u, const char *name, const char *text,
		    struct cancel *cancel)
{
	const struct ufs_cond wrong = { UFS_IF_VERSION, WRONG_VERSION };
	struct ufs_stat st;

	return trial_put(u, name, text, &wrong, &st, cancel);
}

int trial_remove(struct ufs *u, const char *name, struct cancel *cancel)
{
	const struct ufs_cond any = { UFS_IF_ANY, NULL };
	int r = -EIO;

	for (int i = 0; i < REMOVES && r < 0; i++)
		r = u->ops->write->remove(u, str_of(name), &any,
					  i == 0 ? NULL : cancel);
	return r;
}

enum trial_answer trial_answer(int r, int fails)
{
	return r == 0             ? TRIAL_IGNORED
	       : r == fails       ? TRIAL_OBEYED
	       : r == -EOPNOTSUPP ? TRIAL_REFUSED
				  : TRIAL_UNKNOWN;
}

struct asking {
	struct ufs *ufs;
	struct cancel cancel;
	enum trial_answer answer;
	int err;

	struct lock lock;
	struct event ended;
	bool done; /* under lock */
};

static void ask(struct asking *a)
{
	char name[TRIAL_NAME];
	int r = trial_name("trial", name);

	if (r == 0)
		r = trial_put_wrong(a->ufs, name, "", &a->cancel);
	a->err = r;
	a->answer = trial_answer(r, -ESTALE);
	if (r == 0)
		r = trial_remove(a->ufs, name, &a->cancel);
	else
		r = 0;
	if (r < 0)
		log_warn("tarn: %s, made to see what the store does, could not "
			 "be removed: %s",
			 name, strerror(-r));
}

static void *ask_thread(void *arg)
{
	struct asking *a = arg;

	ask(a);
	lock_take(&a->lock);
	a->done = true;
	event_broadcast(&a->ended);
	lock_drop(&a->lock);
	return NULL;
}

enum trial_answer trial_store(struct ufs *u, struct cancel *stop, int *err)
{
	struct asking a = { .ufs = u };
	int64_t until = clock_ns() + PATIENCE;
	pthread_t thread;

	lock_init(&a.lock, RANK_LEAF);
	event_init(&a.ended);
	*err = -pthread_create(&thread, NULL, ask_thread, &a);
	if (*err == 0) {
		lock_take(&a.lock);
		while (!a.done && !cancelled(stop) && clock_ns() < until)
			event_wait_until(&a.ended, &a.lock,
					 clock_ns() + LOOK_NS);
		lock_drop(&a.lock);
		cancel_set(&a.cancel); /* then it ends within a second */
		pthread_join(thread, NULL);
		*err = a.err;
	}
	event_fini(&a.ended);
	lock_fini(&a.lock);
	return a.answer;
}
