/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init.c - the session and its INIT exchange
 *
 * The reply to INIT is known by the request's unique number, which the read
 * hook remembers. Only a reply of the length of today's struct is touched.
 *
 * libfuse before 3.17 knows FUSE_CAP_PARALLEL_DIROPS and does not tell the
 * kernel (libfuse pull request 861). Without it lookups and listings of one
 * directory go one after the other, and those that wait for their turn cannot
 * be killed. So the reply says it here.
 */
#include "fuse/init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "fuse/fs_impl.h"
#include "fuse/mount.h"

#define READAHEAD_KIB 2048 /* measured: +40 to 60 % over the default 128 */
/*
 * Requests of the kernel's read-ahead that may wait for us at once. Above it
 * the kernel holds back those of everybody, so that readers of a slow store
 * would stop readers of what is cached. A few are one reader's, and one that
 * waits here costs a struct and no thread.
 */
#define BACKGROUND 4096

/*
 * Ask for those of the capabilities that the kernel has, or for none of
 * them. libfuse 3.17 has more than 32 and refuses when both ways are mixed.
 */
static void want(struct fuse_conn_info *conn, uint64_t flags, bool on)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	for (uint64_t flag = 1; flag != 0; flag <<= 1) {
		if ((flags & flag) == 0)
			continue;
		if (on)
			fuse_set_feature_flag(conn, flag);
		else
			fuse_unset_feature_flag(conn, flag);
	}
#else
	if (on)
		conn->want |= conn->capable & (unsigned)flags;
	else
		conn->want &= ~(unsigned)flags;
#endif
}

void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	want(conn,
	     FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO |
		 FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
		 FUSE_CAP_ATOMIC_O_TRUNC,
	     true);
	/*
	 * Splicing costs more than it saves. READDIRPLUS_AUTO makes listings
	 * ten times slower. Attributes of an inode never change, so nothing
	 * is to be dropped when they are read again.
	 */
	want(conn,
	     FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
		 FUSE_CAP_SPLICE_MOVE | FUSE_CAP_READDIRPLUS_AUTO |
		 FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_EXPORT_SUPPORT |
		 FUSE_CAP_WRITEBACK_CACHE,
	     false);
#ifdef FUSE_CAP_PASSTHROUGH
	/* From 3.17 on libfuse says it itself; a backing depth of 0, its
	 * default, is our max_stack_depth of 1. */
	if (fs->init_passthrough)
		want(conn, FUSE_CAP_PASSTHROUGH, true);
#endif
	(void)fs;
	conn->max_read = INIT_READ_MAX;
	conn->max_background = BACKGROUND;
	conn->congestion_threshold = BACKGROUND * 3 / 4;
}

/* What the kernel offers and we want. */
static void note_offers(struct fs *fs, const void *buf, size_t n)
{
	struct wire_init_in in;

	if (n < sizeof(struct wire_in_header) + sizeof(in))
		return;
	memcpy(&in, (const char *)buf + sizeof(struct wire_in_header),
	       sizeof(in));
	fs->init_parallel = (in.flags & WIRE_PARALLEL_DIROPS) != 0;
	fs->init_direct_mmap =
	    (in.flags & WIRE_INIT_EXT) && (in.flags2 & WIRE_DIRECT_MMAP2);
	fs->init_passthrough = fs->conf.passthrough && fs->own_mount &&
			       (in.flags & WIRE_INIT_EXT) &&
			       (in.flags2 & WIRE_PASSTHROUGH2);
}

/*
 * The kernel sends what waited for the reply to INIT at once, to a thread that
 * may be faster than the one which wrote it and has to try passthrough yet.
 */
static void await_init(struct fs *fs)
{
	const struct timespec pause = { .tv_nsec = NSEC_PER_MSEC };

	while (!atomic_load(&fs->init_done))
		nanosleep(&pause, NULL);
}

static ssize_t hook_read(int fd, void *buf, size_t len, void *userdata)
{
	struct fs *fs = userdata;
	ssize_t n = turns_read(&fs->turns, fd, buf, len);
	struct wire_in_header head;

	if (n < (ssize_t)sizeof(head) || atomic_load(&fs->init_done))
		return n;
	memcpy(&head, buf, sizeof(head));
	if (head.opcode == WIRE_INIT) {
		note_offers(fs, buf, (size_t)n);
		atomic_store(&fs->init_unique, head.unique);
	} else {
		await_init(fs);
	}
	return n;
}

static void set_readahead(struct fs *fs)
{
	unsigned kib = fs->conf.readahead_kib;
	AUTO_CLOSE int fd = -1;
	char text[64];

	if (geteuid() != 0 || fs->dev == 0)
		return;
	snprintf(text, sizeof(text), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 major(fs->dev), minor(fs->dev));
	fd = open(text, O_WRONLY | O_CLOEXEC);
	snprintf(text, sizeof(text), "%u", kib > 0 ? kib : READAHEAD_KIB);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		log_info("mount: the kernel's read-ahead stays at its default"
			 " (%s): large files are read in smaller requests",
			 strerror(errno));
}

/* Said once, by the thread that answered INIT. */
static void after_init(struct fs *fs, int dev_fd)
{
	int r;

	set_readahead(fs);
	if (!fs->conf.passthrough || !fs->own_mount)
		return;
	r = fs->init_passthrough ? backing_probe(dev_fd) : -EOPNOTSUPP;
	if (r == 0)
		atomic_store(&fs->passthrough, true);
	else
		log_info("mount: no passthrough (%s): reads come to the daemon",
			 fs->init_passthrough
			     ? strerror(-r)
			     : "the kernel offers none; Linux 6.9 does");
}

static ssize_t hook_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fs *fs = userdata;
	struct wire_out_header head;
	struct wire_init_out out;
	struct iovec changed[2];
	ssize_t n;

	if (atomic_load_explicit(&fs->init_done, memory_order_relaxed))
		return writev(fd, iov, count);
	if (count < 1 || iov[0].iov_len != sizeof(head))
		return writev(fd, iov, count);
	memcpy(&head, iov[0].iov_base, sizeof(head));
	if (head.unique != atomic_load(&fs->init_unique))
		return writev(fd, iov, count);
	if (count != 2 || head.error != 0) {
		atomic_store(&fs->init_done, true);
		return writev(fd, iov, count);
	}
	changed[0] = iov[0];
	changed[1] = iov[1];
	if (iov[1].iov_len == sizeof(out)) {
		memcpy(&out, iov[1].iov_base, sizeof(out));
		if (fs->init_parallel)
			out.flags |= WIRE_PARALLEL_DIROPS;
		if (fs->init_direct_mmap) {
			out.flags |= WIRE_INIT_EXT;
			out.flags2 |= WIRE_DIRECT_MMAP2;
		}
		if (fs->init_passthrough) {
			out.flags |= WIRE_INIT_EXT;
			out.flags2 |= WIRE_PASSTHROUGH2;
			out.max_stack_depth = 1;
		}
		changed[1].iov_base = &out;
	}
	n = writev(fd, changed, count);
	if (n >= 0)
		after_init(fs, fd);
	atomic_store(&fs->init_done, true);
	return n;
}

static void PRINTF_LIKE(2, 0)
    session_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char line[512];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	if (n <= 0)
		return;
	n = MIN(n, (int)sizeof(line) - 1);
	if (line[n - 1] == '\n')
		line[n - 1] = '\0';
	if (level <= FUSE_LOG_WARNING)
		log_warn("libfuse: %s", line);
	else
		log_debug(LOG_FUSE, "libfuse: %s", line);
}

/*
 * libfuse wants to know max_read; the other words are for fusermount3, our
 * own mount(2) says them itself.
 */
static int mount_words(const struct fs *fs, char **words)
{
	const struct fs_conf *c = &fs->conf;
	char text[1300];

	snprintf(text, sizeof(text), "max_read=%u", INIT_READ_MAX);
	if (fuse_opt_add_opt(words, text) < 0)
		return -ENOMEM;
	if (fs->own_mount)
		return 0;
	snprintf(text, sizeof(text), "fsname=%s", fs->source);
	if (fuse_opt_add_opt(words, c->staging == NULL ? "ro" : "rw") < 0 ||
	    fuse_opt_add_opt(words, "subtype=tarn") < 0 ||
	    fuse_opt_add_opt(words, "default_permissions") < 0 ||
	    fuse_opt_add_opt(words, c->suid ? "suid" : "nosuid") < 0 ||
	    fuse_opt_add_opt(words, c->dev ? "dev" : "nodev") < 0 ||
	    fuse_opt_add_opt(words, c->exec ? "exec" : "noexec") < 0 ||
	    (c->allow_other && fuse_opt_add_opt(words, "allow_other") < 0) ||
	    fuse_opt_add_opt_escaped(words, text) < 0)
		return -ENOMEM;
	return 0;
}

int init_session(struct fs *fs)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	char *words = NULL;
	int r;

	fuse_set_log_func(session_log);
	r = mount_words(fs, &words);
	if (r == 0 && (fuse_opt_add_arg(&args, "tarn") < 0 ||
		       fuse_opt_add_arg(&args, "-o") < 0 ||
		       fuse_opt_add_arg(&args, words) < 0))
		r = -ENOMEM;
	if (r == 0) {
		fs->se = fuse_session_new(
		    &args,
		    fs->conf.staging != NULL ? &fs_ops : &fs_ops_read_only,
		    sizeof(fs_ops), fs);
		if (fs->se == NULL)
			r = -EINVAL;
	}
	fuse_opt_free_args(&args);
	free(words);
	return r;
}

int init_hooks(struct fs *fs, int fd)
{
	static const struct fuse_custom_io io = {
		.read = hook_read,
		.writev = hook_writev,
	};

	return fuse_session_custom_io(fs->se, &io, fd);
}
