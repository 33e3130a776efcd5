/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs.c - the life of a mount
 *
 * The loop's threads, a pool for what asks the store, one thread that
 * answers interrupted requests, and one that waits for fs_stop(). A signal
 * handler cannot unmount, and the loop's threads sit in read(2): so
 * fs_stop() only writes to an eventfd, and the waiting thread marks the
 * session as ended and makes one request to the mount, which wakes a thread
 * of the loop, which ends all.
 */
#include "fuse/fs.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fuse/mount.h"
#include "fuse/written.h"

/*
 * The loop's threads never wait for the network, so a few more than there
 * are processors will do.
 */
#define LOOP_THREADS_MIN 4
#define LOOP_THREADS_MAX 16
#define JOB_THREADS 16
#define DIR_THREADS 8
/*
 * Each waits for one file's commit, also when who asked for it has left: there
 * are more than anybody leaves behind, as names are changed on them, too.
 */
#define COMMIT_THREADS 256
#define LATER_THREADS 16 /* the same that nobody waits for */

void reply_err(fuse_req_t req, int err)
{
	switch (err) {
	case -ECANCELED:
		err = -EINTR;
		break;
	case -EAGAIN: /* nobody asked for non-blocking reads */
		err = -EIO;
		break;
	default:
		break;
	}
	fuse_reply_err(req, -err);
}

static void file_closed(void *arg, int backing_id)
{
	backing_close(fuse_session_fd(((struct fs *)arg)->se), backing_id);
}

static void trim_run(struct job *job)
{
	struct fs *fs = container_of(job, struct fs, trim);

	malloc_trim(0);
	atomic_store(&fs->trimming, false);
}

void fs_forgot(struct fs *fs)
{
	if (inodes_many_freed(fs->inodes) &&
	    !atomic_exchange(&fs->trimming, true))
		pool_submit(fs->jobs, &fs->trim, POOL_BACKGROUND);
}

bool fs_crowded(struct fs *fs)
{
	if (!inodes_crowded(fs->inodes))
		return false;
	pruner_wake(fs->pruner);
	return true;
}

int fs_backing_fd(struct fs *fs)
{
	return atomic_load(&fs->passthrough) ? fuse_session_fd(fs->se) : -1;
}

static unsigned processors(void)
{
	return (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
}

int fs_new(const struct fs_conf *conf, struct fs **out)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	AUTO_FREE char *seed = NULL;
	struct ufs *u = cache_ufs(conf->cache);
	size_t store, prefix;
	int r;

	if (fs == NULL)
		return -ENOMEM;
	fs->stop_fd = -1;
	fs->conf = *conf;
	fs->cache = conf->cache;
	fs->meta = cache_meta(conf->cache);
	fs->started = clock_wall_ns();
	fs->trim.run = trim_run;
	lock_init(&fs->later_lock, RANK_LEAF);
	event_init(&fs->later_wake);
	rq_list_init(&fs->waiting);
	turns_init(&fs->turns, processors());
	trees_init(&fs->trees);
	fs->source = strdup(conf->source);
	fs->dir = strdup(conf->dir);
	fs->conf.source = fs->source;
	fs->conf.dir = fs->conf_dir = strdup(conf->dir);
	store = strlen(u->store) + 1;
	prefix = strlen(u->prefix);
	seed = malloc(store + prefix);
	fs->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (fs->source == NULL || fs->dir == NULL || fs->conf_dir == NULL ||
	    seed == NULL) {
		r = -ENOMEM;
	} else if (fs->stop_fd < 0) {
		r = -errno;
	} else {
		memcpy(seed, u->store, store);
		memcpy(seed + store, u->prefix, prefix);
		r = inodes_new((struct str){ seed, store + prefix },
			       &fs->inodes);
	}
	if (r == 0)
		inodes_set_share(fs->inodes, conf->inode_bytes);
	if (r == 0)
		r = handles_new(&fs->handles);
	if (r == 0)
		r = pool_new("lookup",
			     conf->max_background > 0 ? conf->max_background
						      : JOB_THREADS,
			     &fs->jobs);
	if (r == 0)
		r = pool_new("readdir", DIR_THREADS, &fs->dir_readers);
	if (r == 0 && conf->staging != NULL)
		r = pool_new("commit", COMMIT_THREADS, &fs->committers);
	if (r == 0 && conf->staging != NULL)
		r = pool_new("later", LATER_THREADS, &fs->laters);
	if (r == 0 && conf->staging != NULL)
		r = filelocks_init(&fs->locks);
	if (r == 0)
		r = pool_new("interrupt", 1, &fs->enders);
	if (r == 0)
		r = pruner_new(fs, conf->prune_by_name, &fs->pruner);
	if (r == 0 && conf->staging != NULL)
		r = appear_new(fs, &fs->appear);
	if (r < 0)
		fs_free(fs);
	else
		*out = fs;
	return r;
}

void fs_writes(struct fs *fs)
{
	if (!atomic_load_explicit(&fs->written, memory_order_relaxed) &&
	    !atomic_exchange(&fs->written, true) && fs->conf.writes != NULL)
		fs->conf.writes(fs->conf.writes_arg);
}

void fs_settle(struct fs *fs)
{
	struct handle *h;

	mount_stop(fs);
	if (fs->enders != NULL) {
		rq_list_end(&fs->waiting);
		rq_list_drain(&fs->waiting);
	}
	pool_stop(take_ptr(fs->jobs));
	pool_stop(take_ptr(fs->dir_readers));
	pool_stop(take_ptr(fs->committers));
	later_settle(fs);
	pool_stop(take_ptr(fs->enders));
	while (fs->handles != NULL &&
	       (h = handles_remove_any(fs->handles)) != NULL) {
		/* Of a lazy unmount: what was written is not to be lost. */
		if (h->writes)
			(void)written_commit(fs, h->opened, NULL);
		handle_put(fs, h);
	}
}

void fs_free(struct fs *fs)
{
	if (fs == NULL)
		return;
	fs_settle(fs);
	pruner_free(fs->pruner); /* no lookup is left to wake it */
	appear_free(fs->appear);
	/* The kernel forgets all ids with the session. */
	if (fs->cache != NULL)
		cache_on_file_closed(fs->cache, NULL, NULL);
	if (fs->se != NULL)
		fuse_session_destroy(fs->se);
	/* Only now: with /dev/fuse closed no request of it can wait. */
	if (fs->stopper_runs)
		must(pthread_join(fs->stopper, NULL));
	handles_free(fs->handles);
	inodes_free(fs->inodes);
	turns_fini(&fs->turns);
	trees_fini(&fs->trees);
	filelocks_fini(&fs->locks);
	rq_list_fini(&fs->waiting);
	event_fini(&fs->later_wake);
	lock_fini(&fs->later_lock);
	if (fs->stop_fd >= 0)
		close(fs->stop_fd);
	free(fs->source);
	free(fs->dir);
	free(fs->conf_dir);
	free(fs);
}

int fs_mount(struct fs *fs, char why[static 256])
{
	int r = mount_start(fs, why);

	if (r == 0)
		cache_on_file_closed(fs->cache, file_closed, fs);
	if (r == 0 && fs->conf.staging != NULL)
		later_restore(fs);
	if (r < 0 && fs->se != NULL) {
		fuse_session_destroy(fs->se);
		fs->se = NULL;
	}
	return r;
}

static void *stopper(void *arg)
{
	struct fs *fs = arg;
	uint64_t n;

	while (read(fs->stop_fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	if (!atomic_load(&fs->loop_over)) {
		fuse_session_exit(fs->se);
		mount_wake(fs);
	}
	return NULL;
}

/* With all signals blocked: they are for who serves. */
static int start_stopper(struct fs *fs)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	must(pthread_sigmask(SIG_SETMASK, &all, &before));
	r = pthread_create(&fs->stopper, NULL, stopper, fs);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL));
	fs->stopper_runs = r == 0;
	return -r;
}

int fs_serve(struct fs *fs)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r;

	if (config == NULL)
		return -ENOMEM;
	/* Idle threads are kept: libfuse's default since 3.12. */
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(
	    config,
	    MIN(MAX(processors() + 2, LOOP_THREADS_MIN), LOOP_THREADS_MAX));
	r = start_stopper(fs);
	if (r == 0)
		r = fuse_session_loop_mt(fs->se, config);
	/*
	 * Before it is unmounted, also when it was never served: who waits for
	 * it to answer is answered by the directory below from then on.
	 */
	atomic_store(&fs->loop_over, true);
	fs_stop(fs);
	rq_list_end(&fs->waiting);
	mount_stop(fs);
	rq_list_drain(&fs->waiting);
	fuse_loop_cfg_destroy(config);
	/* How libfuse says that it has no thread to begin with. */
	if (r == -1)
		r = -EAGAIN;
	return r > 0 ? 0 : r;
}

bool fs_ended(const struct fs *fs)
{
	return atomic_load(&fs->loop_over);
}

void fs_stop(struct fs *fs)
{
	int err = errno;
	uint64_t one = 1;
	ssize_t n = write(fs->stop_fd, &one, sizeof(one));

	(void)n; /* full: it was told often enough */
	errno = err;
}

bool fs_passthrough(const struct fs *fs)
{
	return atomic_load(&fs->passthrough);
}

dev_t fs_dev(const struct fs *fs)
{
	return fs->dev;
}
