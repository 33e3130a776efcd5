/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune.c - asking the kernel to forget inodes
 *
 * From Linux 6.18 on FUSE_NOTIFY_PRUNE names inodes by their nodeids: the
 * kernel drops those that nothing uses (no open file, no working directory,
 * no child in its cache) and answers with FORGET. It takes no directory's
 * lock and leaves what it has of a listing. libfuse has no call for it yet,
 * so the message is written here.
 *
 * An older kernel says EINVAL. It is asked by names (NOTIFY_INVAL_ENTRY),
 * which drops a name even if it is in use: what is open is spared here, and
 * directories are left alone, for one may be a shell's working directory. It
 * takes the directory's lock: a lookup that waits for the store holds that,
 * and who comes after one that waits for the lock waits too. So nobody is
 * asked while requests wait in directories.
 *
 * The kernel waits for replies of ours in neither case but the lock's; still
 * libfuse forbids notices by a thread that answers requests, and so there is
 * one of its own. FORGET comes after the notice, through the loop; a pause
 * between rounds leaves it time, and bounds the rate.
 */
#include "fuse/prune.h"

#include <errno.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "fuse/fs_impl.h"
#include "fuse/mount.h"

#define ROUND 1024                    /* inodes named at once */
#define PAUSE_NS (10 * NSEC_PER_MSEC) /* between rounds */
#define IN_USE_NS (1 * NSEC_PER_SEC)  /* when all are in use */
#define BY_NAME_MAX 64                /* of a round; each takes a lock */

struct pruner {
	/* set once */
	struct fs *fs;
	struct pool *pool; /* one thread */

	struct job job;
	atomic_bool running;
	bool by_name; /* the job's alone */

	struct lock lock;
	struct event ending;
	bool stop; /* under lock */
};

/* Name them by number. 0 or -errno; -EINVAL: this kernel cannot. */
static int prune_numbers(struct pruner *p, uint64_t *nodeids, size_t n)
{
	struct wire_notify_prune_out out = { .count = (uint32_t)n };
	struct wire_out_header head = {
		.len = (uint32_t)(sizeof(head) + sizeof(out) +
				  n * sizeof(*nodeids)),
		.error = WIRE_NOTIFY_PRUNE,
	};
	struct iovec iov[] = { { &head, sizeof(head) },
			       { &out, sizeof(out) },
			       { nodeids, n * sizeof(*nodeids) } };

	if (writev(fuse_session_fd(p->fs->se), iov, ARRAY_SIZE(iov)) < 0)
		return -errno;
	stat_add(STAT_inode_asks, (int64_t)n);
	return 0;
}

static int drop_name(struct fs *fs, uint64_t parent, struct str comp,
		     enum name_kind kind)
{
	char name[NAME_LEN_MAX + 1];
	size_t n = name_from_key(comp, kind, name);

	stat_inc(STAT_inode_asks);
	return fuse_lowlevel_notify_inval_entry(fs->se, parent, name, n);
}

/* A file of which a directory has the name too goes by another name (N5). */
static void prune_name(struct fs *fs, uint64_t nodeid)
{
	struct inode_place at;
	struct str comp;
	uint64_t dir;

	if (inodes_place(fs->inodes, nodeid, &at) < 0 || at.type == INODE_DIR)
		return;
	comp = (struct str){ at.comp, at.n };
	if (at.type == INODE_DATA)
		drop_name(fs, at.parent, comp, NAME_DATA);
	else if (inodes_find(fs->inodes, at.parent, INODE_DIR, comp, &dir) ==
		     0 ||
		 drop_name(fs, at.parent, comp, NAME_PLAIN) == -ENOENT)
		drop_name(fs, at.parent, comp, NAME_TWIN);
}

/* One round. How many idle inodes there were. */
static size_t prune_some(struct pruner *p)
{
	uint64_t nodeids[ROUND];
	struct fs *fs = p->fs;
	size_t n =
	    inodes_idle(fs->inodes, nodeids, p->by_name ? BY_NAME_MAX : ROUND);

	if (n > 0 && !p->by_name && prune_numbers(p, nodeids, n) == -EINVAL) {
		log_debug(LOG_FUSE, "fuse: this kernel forgets inodes by name");
		p->by_name = true;
		return n;
	}
	for (size_t i = 0; i < n && p->by_name; i++) {
		if (atomic_load(&fs->in_dirs) > 0)
			break;
		prune_name(fs, nodeids[i]);
	}
	return n;
}

/* False when it is to end. */
static bool pause_for(struct pruner *p, int64_t ns)
{
	int64_t until = clock_ns() + ns;
	bool stop;

	lock_take(&p->lock);
	while (!p->stop && event_wait_until(&p->ending, &p->lock, until))
		;
	stop = p->stop;
	lock_drop(&p->lock);
	return !stop;
}

/*
 * Until there is room. The first round that finds none took the marks off, so
 * only the second says that all are in use. Some of what looks idle the kernel
 * keeps all the same (watched by inotify, held by O_PATH): when nothing went
 * since the last round it is asked ever more rarely.
 */
static void prune_run(struct job *job)
{
	struct pruner *p = container_of(job, struct pruner, job);
	struct inodes *t = p->fs->inodes;
	uint64_t left = 0, now;
	int64_t pause = PAUSE_NS;
	unsigned none = 0;

	do {
		while (inodes_crowded(t)) {
			none = prune_some(p) > 0 ? 0 : none + 1;
			now = inodes_left(t);
			pause = now > left ? PAUSE_NS : pause * 2;
			pause = MIN(none < 2 ? pause : IN_USE_NS, IN_USE_NS);
			left = now;
			if (!pause_for(p, pause))
				return;
		}
		atomic_store(&p->running, false);
		/* Who found them crowded just before has woken nobody. */
	} while (inodes_crowded(t) && !atomic_exchange(&p->running, true));
}

void pruner_wake(struct pruner *p)
{
	if (!atomic_load_explicit(&p->running, memory_order_relaxed) &&
	    !atomic_exchange(&p->running, true))
		pool_submit(p->pool, &p->job, POOL_DEMAND);
}

int pruner_new(struct fs *fs, bool by_name, struct pruner **out)
{
	struct pruner *p = calloc(1, sizeof(*p));
	int r;

	if (p == NULL)
		return -ENOMEM;
	p->fs = fs;
	p->by_name = by_name;
	p->job.run = prune_run;
	lock_init(&p->lock, RANK_LEAF);
	event_init(&p->ending);
	r = pool_new("prune", 1, &p->pool);
	if (r < 0)
		pruner_free(p);
	else
		*out = p;
	return r;
}

void pruner_free(struct pruner *p)
{
	if (p == NULL)
		return;
	lock_take(&p->lock);
	p->stop = true;
	event_broadcast(&p->ending);
	lock_drop(&p->lock);
	/* It may wait for a lock whose holder waits for us: nobody serves. */
	if (atomic_load(&p->running))
		mount_cut(p->fs);
	pool_stop(p->pool);
	event_fini(&p->ending);
	lock_fini(&p->lock);
	free(p);
}
