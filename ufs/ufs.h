/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs.h - what every source of bytes looks like from above
 *
 * An object store, a local directory, a peer worker and a test's double are
 * all a struct ufs: a driver behind one table, chosen by the scheme of the
 * mount's URL. All calls block, may come from many threads at once, have
 * deadlines of their own (struct ufs_conf) and retry what can be retried; an
 * error that returns is final and is one of SEMANTICS' table:
 *
 *   -ENOENT absent           -EACCES refused, archived   -ESTALE other version
 *   -EIO wrong or unusable   -ETIMEDOUT  -EHOSTUNREACH   -EOPNOTSUPP
 *   -ENOMEM -ENFILE          -ECANCELED cancel was set
 *
 * Keys are relative to the mount's prefix: a driver puts the prefix in front
 * and can name nothing outside it.
 */
#ifndef UFS_UFS_H
#define UFS_UFS_H

#include "base/base.h"
#include "base/cancel.h"

#define UFS_KEY_MAX 1024
#define UFS_VERSION_MAX 160 /* with the NUL */

enum ufs_flags {
	/*
	 * The store gave no strong version: version was made of time and
	 * size ("~..."), and is good for this mount only.
	 */
	UFS_WEAK = 1 << 0,
	UFS_ARCHIVED = 1 << 1, /* must be restored before it can be read */
	/* Its listed size is impossible: size is 0, opening it is EIO. */
	UFS_UNUSABLE = 1 << 2,
};

struct ufs_stat {
	uint64_t size;
	int64_t mtime;                 /* ns since 1970, 0 .. year 2262 */
	unsigned flags;                /* enum ufs_flags */
	char version[UFS_VERSION_MAX]; /* ETag without its quotes */
	char storage_class[24];        /* "" = the store's standard */
};

/* Where the bytes of a get go. Each call returns 0, or -errno to end it. */
struct ufs_sink {
	void *arg;
	/* Once, before any data: what the answer said of the object. */
	int (*head)(void *arg, const struct ufs_stat *st);
	/* In order, without gap or repetition, whatever was retried below. */
	int (*data)(void *arg, const void *bytes, size_t len);
	/*
	 * Set: all of a version is asked for, off is 0 and len its size, and
	 * the bytes are compared with the store's checksum if it keeps one.
	 * Called when they differ: what data() was given is wrong and comes
	 * again from the first byte. So none of it may be believed before
	 * the get has returned 0.
	 */
	int (*again)(void *arg);
	/*
	 * Optional. The bytes that follow come from a worker (true), or from
	 * the store, as they do until this is called.
	 */
	void (*source)(void *arg, bool worker);
};

struct ufs_entry {
	struct str key; /* relative to the mount's prefix; a directory's
			   ends with '/'; borrowed for the call */
	bool dir;       /* a common prefix: st is all 0 */
	struct ufs_stat st;
};

/* Which entries to list. */
struct ufs_list {
	struct str prefix; /* "" or "a/b/" or any start of a key */
	struct str after;  /* only keys greater than this; "" = all */
	bool deep;         /* all keys below, not one level */
	unsigned max;      /* entries a page, 1 .. 1000 */
};

/* Called in key order within a page. Not 0: the listing ends with it. */
typedef int ufs_entry_cb(void *arg, const struct ufs_entry *e);

struct ufs_write_ops;

struct ufs {
	const struct ufs_ops *ops;
	char *store; /* names the store in the cache: endpoint and bucket */
	/* Borrowed: endpoint and bucket, whatever store is; NULL: no server. */
	const char *where;
	char *prefix; /* "" or "a/b/": what stands before every key */
	char *access; /* names whose listings these are: source of the
			 credentials, never a secret */
	bool weak_versions_seen; /* said once */
};

/* The steps to an answer of a server, in order. */
enum ufs_step {
	UFS_STEP_NAME, /* DNS */
	UFS_STEP_CONNECT,
	UFS_STEP_TLS,
	UFS_STEP_ANSWER,
	UFS_STEP_DONE,
};

/* How far it is to a server, and what time it is there. */
struct ufs_reach {
	enum ufs_step failed; /* UFS_STEP_DONE: none did */
	char words[256];      /* why, "" when none did */
	char server[320];     /* "https://host:port" */
	char address[64];     /* that took the connection, "" for none */
	bool tls, proxy;
	int64_t took[UFS_STEP_DONE]; /* ns; 0: not come to, or not needed */
	bool has_date;
	int64_t ahead; /* its clock less ours, ns, to about a second */
};

struct ufs_ops {
	const char *scheme; /* "s3", "file"; the mount URL begins with it */

	void (*close)(struct ufs *u);

	/* -ENOENT when there is no object of just this key. */
	int (*stat)(struct ufs *u, struct str key, struct ufs_stat *out,
		    struct cancel *cancel);

	/*
	 * The same of the store itself, now, where stat() may be told by
	 * something nearer that has known it for a while. Optional: stat()
	 * is as good.
	 */
	int (*stat_now)(struct ufs *u, struct str key, struct ufs_stat *out,
			struct cancel *cancel);

	/*
	 * One page of a listing. *token is NULL for the first page and is
	 * replaced (heap, the caller frees it at last) by what the next page
	 * needs, NULL when this was the last. The callback runs only after
	 * the whole page was received and found right.
	 */
	int (*list)(struct ufs *u, const struct ufs_list *q, char **token,
		    ufs_entry_cb *cb, void *arg, struct cancel *cancel);

	/*
	 * Listings that begin at different keys may run side by side, and
	 * are faster so.
	 */
	bool list_side_by_side;

	/*
	 * Send [off, off+len) of the version want (NULL: whatever is there)
	 * to the sink. Short only at the object's end: off+len may lie
	 * beyond it. An empty object: head(), no data. -ESTALE when that
	 * version is gone, -ECANCELED soon after cancel is set. A transfer
	 * that broke is resumed at the byte received, of the same version.
	 */
	int (*get)(struct ufs *u, struct str key, const char *want,
		   uint64_t off, uint64_t len, const struct ufs_sink *sink,
		   struct cancel *cancel);

	/*
	 * What `tarn mount` prints of the source ("region eu-west-1, keys of
	 * profile default"), into buf. Optional.
	 */
	void (*describe)(struct ufs *u, char *buf, size_t size);

	/*
	 * What is known of key, or when tree is set of all keys that begin
	 * with it, was found to be old: from now on nothing that was learnt
	 * before may be told. Optional: a store tells what is now.
	 */
	void (*changed)(struct ufs *u, struct str key, bool tree);

	/*
	 * What key is, or what is in a directory (a slash at its end), was
	 * just changed by this process: whoever else answers for the store is
	 * to hear of it. Does not block. Optional: there is nobody.
	 */
	void (*made)(struct ufs *u, struct str key);

	/*
	 * How it is changed (ufs/write.h). NULL: it is only read, or what is
	 * behind it is changed, see store().
	 */
	const struct ufs_write_ops *write;

	/* Optional: the store that this stands in front of; borrowed. */
	struct ufs *(*store)(struct ufs *u);

	/* Read credentials again (SIGHUP). Optional. */
	void (*reload)(struct ufs *u);

	/*
	 * Go to the server once, step by step, without keys and without
	 * trying again (`tarn doctor`). How far that came is no error: only
	 * -ENOMEM and the like are. Optional: a local store has no server.
	 */
	int (*reach)(struct ufs *u, struct ufs_reach *out);
};

enum ufs_path_style { UFS_PATH_AUTO, UFS_PATH_ON, UFS_PATH_OFF };

/* Set once at open; strings may be NULL. Times in ns. */
struct ufs_conf {
	const char *url; /* s3://bucket/prefix, file:///dir */
	const char *endpoint;
	const char *region;
	const char *profile;
	const char *ca_bundle;
	const char *store_id; /* in place of the store's own name */
	bool anonymous;
	bool requester_pays;
	enum ufs_path_style path_style;
	unsigned max_connections; /* 0 = 256 */
	size_t memory;            /* the mount's; connections' buffers keep
				     to an eighth of it. 0 = no limit */
	int64_t metadata_timeout; /* a stat, a list page: all tries */
	int64_t read_timeout;     /* a get: without any byte for this long */
	int64_t stall_timeout;    /* a connection below 1 KB/s for this long */
	uint64_t bandwidth_down;  /* bytes a second, 0 = no limit */
	uint64_t bandwidth_up;    /* the same of bytes sent */
	int64_t commit_timeout;   /* a change: without progress for this long;
				     0 = 60 s */
	struct cancel *cancel;    /* ends the open, or NULL */
};

/*
 * Open the driver that conf->url's scheme names. The store is not asked for
 * anything, but keys may have to be fetched. Returns -EINVAL (with *why set)
 * for what a person can mend, -ECANCELED.
 */
int ufs_open(const struct ufs_conf *conf, struct ufs **out,
	     char why[static 256]);
void ufs_close(struct ufs *u); /* NULL is allowed */

/*
 * The last failure of this thread in words ("403 AccessDenied from
 * http://..."), for messages; "" when there was none. Never a secret.
 */
const char *ufs_last_error(void);

/*
 * How long before it was asked (ns) the store was as this thread's last stat(),
 * stat_now() or list() said: above 0 only where something nearer than it
 * answered.
 */
int64_t ufs_last_age(void);

/* The drivers, for ufs.c's table. */
int ufs_s3_open(const struct ufs_conf *conf, struct ufs **out,
		char why[static 256]);
int ufs_file_open(const struct ufs_conf *conf, struct ufs **out,
		  char why[static 256]);

#endif
