/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turns.c - see turns.h
 */
#include "fuse/turns.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuse/backing.h"

/* A copy of so much costs about what waking a thread does. */
#define BRIEF_BYTES KIB(64)

/* include/uapi/linux/fuse.h: enum fuse_opcode, struct fuse_read_in */
enum {
	WIRE_LOOKUP = 1,
	WIRE_FORGET = 2,
	WIRE_GETATTR = 3,
	WIRE_OPEN = 14,
	WIRE_READ = 15,
	WIRE_WRITE = 16,
	WIRE_RELEASE = 18,
	WIRE_FLUSH = 25,
	WIRE_GETLK = 31,
	WIRE_SETLK = 32,
	WIRE_SETLKW = 33,
	WIRE_CREATE = 35,
	WIRE_INTERRUPT = 36,
	WIRE_BATCH_FORGET = 42,
};

struct wire_read_in { /* the part that is used here */
	uint64_t fh;
	uint64_t offset;
	uint32_t size;
};

/* Who watches looks so often; the others, whether somebody watches. */
#define WATCH_EVERY NSEC_PER_SEC
#define JOIN_WATCH_EVERY (5 * NSEC_PER_SEC)

static _Thread_local const struct turns *mine;

void turns_init(struct turns *t, unsigned cpus)
{
	memset(t, 0, sizeof(*t));
	t->most = MAX(cpus / 2, 1);
	lock_init(&t->lock, RANK_LEAF);
	event_init(&t->freed);
}

void turns_fini(struct turns *t)
{
	event_fini(&t->freed);
	lock_fini(&t->lock);
}

/* Does who has the turn keep it through this request? */
static bool brief(const void *buf, size_t n)
{
	struct wire_in_header head;
	struct wire_read_in in;

	if (n < sizeof(head))
		return false;
	memcpy(&head, buf, sizeof(head));
	switch (head.opcode) {
	case WIRE_LOOKUP:
	case WIRE_FORGET:
	case WIRE_GETATTR:
	case WIRE_OPEN:
	case WIRE_RELEASE:
	case WIRE_FLUSH:
	case WIRE_GETLK:
	case WIRE_SETLK:
	case WIRE_SETLKW:
	case WIRE_CREATE:
	case WIRE_INTERRUPT:
	case WIRE_BATCH_FORGET:
		return true;
	case WIRE_READ:
		if (n < sizeof(head) + sizeof(in))
			return false;
		memcpy(&in, (const char *)buf + sizeof(head), sizeof(in));
		return in.size <= BRIEF_BYTES;
	case WIRE_WRITE:
		return n <= BRIEF_BYTES;
	default:
		return false;
	}
}

/*
 * One thread's wait for its turn. clang's analysis of locks can follow one
 * neither through a clean-up handler nor through this struct.
 */
struct wait {
	struct turns *turns;
	bool watches; /* it is the one who looks each second */
	unsigned seen;
};

TSA(no_thread_safety_analysis) static void unlock_cb(void *arg)
{
	struct wait *w = arg;

	if (w->watches)
		w->turns->watched = false; /* another one will see */
	lock_drop(&w->turns->lock);
}

/* WATCH_EVERY has passed without a turn: is nobody there? */
static bool nobody_listens(struct wait *w)
{
	unsigned seen = atomic_load(&w->turns->seen);
	bool still = seen == w->seen;

	w->seen = seen;
	return still && atomic_load(&w->turns->reading) == 0;
}

TSA(no_thread_safety_analysis) static bool turn_comes_locked(struct wait *w)
{
	struct turns *t = w->turns;

	if (t->taken < t->most)
		return true;
	w->watches = w->watches || !t->watched;
	t->watched = true;
	return !event_wait_until(&t->freed, &t->lock,
				 clock_ns() + (w->watches
						   ? WATCH_EVERY
						   : JOIN_WATCH_EVERY)) &&
	       w->watches && nobody_listens(w);
}

TSA(no_thread_safety_analysis) static void take_turn(struct turns *t)
{
	struct wait w = { .turns = t, .seen = atomic_load(&t->seen) };

	lock_take(&t->lock);
	pthread_cleanup_push(unlock_cb, &w);
	while (!turn_comes_locked(&w))
		;
	t->taken++;
	pthread_cleanup_pop(1);
	mine = t;
}

static void give_turn(struct turns *t)
{
	mine = NULL;
	lock_take(&t->lock);
	t->taken--;
	event_signal(&t->freed);
	lock_drop(&t->lock);
}

ssize_t turns_read(struct turns *t, int fd, void *buf, size_t len)
{
	ssize_t n;
	int err;

	if (mine == t && atomic_load(&t->taken) > t->most)
		give_turn(t); /* another one listened instead meanwhile */
	if (mine != t)
		take_turn(t);
	atomic_fetch_add(&t->reading, 1);
	n = read(fd, buf, len);
	err = errno;
	atomic_fetch_sub(&t->reading, 1);
	atomic_fetch_add(&t->seen, 1);
	if (n < 0 || !brief(buf, (size_t)n))
		give_turn(t);
	errno = err;
	return n;
}

void turns_leave(struct turns *t)
{
	if (mine == t)
		give_turn(t);
}
