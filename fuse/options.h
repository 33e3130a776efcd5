/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - every option of a mount, one row each
 *
 * The table makes the parser, `tarn help mount` and, by a test, the manual
 * page tarn.conf(5). The same names serve -o name=value, the environment
 * (TARN_NAME, dashes as underscores) and the JSON file; the command line
 * beats the environment beats the file, and each value remembers where it
 * came from. Unknown names, contradictions and impossible values are
 * refused by one sentence that names the fix. Secrets are never options.
 */
#ifndef FUSE_OPTIONS_H
#define FUSE_OPTIONS_H

#include <stdio.h>

#include "base/base.h"
#include "cache/cache.h"
#include "fuse/cli.h"

/*
 * X(ID, name, KIND, default, how the default is told, choices or what to
 * write, least, most, meaning). A NULL default is worked out at start.
 * least and most bound numbers, sizes (bytes) and times (ms).
 */
#define OPTIONS(X)                                                             \
	X(RO, "ro", FLAG, "off", NULL, NULL, 0, 0,                             \
	  "read only: no write ever reaches the store")                        \
	X(ENDPOINT, "endpoint", URL, NULL, "the AWS endpoint of the region",   \
	  "URL", 0, 0, "an S3-compatible server, http:// or https://")         \
	X(REGION, "region", TEXT, NULL, "found by asking", "NAME", 0, 0,       \
	  "the bucket's region")                                               \
	X(PROFILE, "profile", TEXT, NULL, "AWS_PROFILE, then default", "NAME", \
	  0, 0, "profile in the shared AWS config and credentials files")      \
	X(ANONYMOUS, "anonymous", FLAG, "off", NULL, NULL, 0, 0,               \
	  "send unsigned requests: for public buckets")                        \
	X(PATH_STYLE, "path-style", CHOICE, "auto", NULL, "auto/on/off", 0, 0, \
	  "the bucket's name in the URL's path and not in its host")           \
	X(CA_BUNDLE, "ca-bundle", FILE, NULL, "the system's", "FILE", 0, 0,    \
	  "certificates of authorities to believe, PEM")                       \
	X(REQUESTER_PAYS, "requester-pays", FLAG, "off", NULL, NULL, 0, 0,     \
	  "agree to pay for requests to another's bucket")                     \
	X(CACHE_DIR, "cache-dir", DIRS, NULL,                                  \
	  "tarn in the user's cache directory; root: /var/cache/tarn",         \
	  "DIR[:DIR...]", 0, 0,                                                \
	  "where cached bytes are kept, one directory a disk; mounts may "     \
	  "share it")                                                          \
	X(STORE_ID, "store-id", TEXT, NULL, "endpoint and bucket", "NAME", 0,  \
	  0, "names the store in the cache, when one has several URLs")        \
	X(CACHE_SIZE, "cache-size", SHARE, "80%", NULL, "SIZE or PERCENT",     \
	  1 << 20, INT64_MAX,                                                  \
	  "bytes a cache directory may hold, or percent of its disk; 0: no "   \
	  "cache on the SSD")                                                  \
	X(MEMORY, "memory", SIZE, NULL,                                        \
	  "a quarter of the cgroup's limit or of the RAM, 64M to 16G", "SIZE", \
	  64 << 20, INT64_C(1) << 42,                                          \
	  "bounds buffers, metadata and background work together")             \
	X(CONSISTENCY, "consistency", CONSISTENCY, "ttl:60s", NULL,            \
	  "strict/ttl:TIME/immutable", 0, 0,                                   \
	  "how fresh names and attributes are; see tarn-semantics(7)")         \
	X(NEGATIVE_TTL, "negative-ttl", TIME, "5s", NULL, "TIME", 0,           \
	  INT64_C(86400000),                                                   \
	  "how long an absent name is believed to be absent")                  \
	X(SMALL_FILE, "small-file", SIZE, "1M", NULL, "SIZE", 0, 1 << 20,      \
	  "files up to this size are fetched whole, by one request")           \
	X(READAHEAD, "readahead", SIZE, "256M", NULL, "SIZE", 1 << 20,         \
	  INT64_C(1) << 40, "the most that is fetched ahead of a stream")      \
	X(PREFETCH, "prefetch", CHOICE, "auto", NULL, "auto/off", 0, 0,        \
	  "fetch the rest of a directory whose small files are read one "      \
	  "after the other")                                                   \
	X(PASSTHROUGH, "passthrough", CHOICE, "auto", NULL, "auto/off", 0, 0,  \
	  "hand complete files to the kernel, which then reads the SSD "       \
	  "itself")                                                            \
	X(MAX_CONNECTIONS, "max-connections", NUMBER, "256", NULL, "NUMBER",   \
	  1, 4096, "the most connections to the store at a time")              \
	X(METADATA_TIMEOUT, "metadata-timeout", TIME, "30s", NULL, "TIME",     \
	  100, 3600000, "for a lookup or a page of a listing, all tries")      \
	X(READ_TIMEOUT, "read-timeout", TIME, "60s", NULL, "TIME", 100,        \
	  3600000, "for a read that gets no byte, all tries")                  \
	X(STALL_TIMEOUT, "stall-timeout", TIME, "10s", NULL, "TIME", 100,      \
	  3600000, "after this long without progress a transfer is resumed")   \
	X(BANDWIDTH_DOWN, "bandwidth-down", SIZE, NULL, "none", "SIZE",        \
	  64 << 10, INT64_MAX, "bytes a second from the store, at most")       \
	X(BANDWIDTH_UP, "bandwidth-up", SIZE, NULL, "none", "SIZE", 64 << 10,  \
	  INT64_MAX, "bytes a second to the store, at most")                   \
	X(COMMIT_TIMEOUT, "commit-timeout", TIME, "60s", NULL, "TIME", 100,    \
	  3600000, "for a write to the store that gets no byte further")       \
	X(COMMIT, "commit", CHOICE, "sync", NULL, "sync/writeback", 0, 0,      \
	  "what a close waits for: the store, or staging-dir; see "            \
	  "tarn-semantics(7)")                                                 \
	X(CONFLICT, "conflict", CHOICE, "fail", NULL, "fail/last-wins", 0, 0,  \
	  "what becomes of a file that another changed since it was opened")   \
	X(STAGING_DIR, "staging-dir", FILE, NULL,                              \
	  "tarn in the user's state directory; root: /var/lib/tarn", "DIR", 0, \
	  0, "where written files are until the store has them")               \
	X(PART_SIZE, "part-size", SIZE, NULL, "8M, and grows", "SIZE",         \
	  5 << 20, INT64_C(5) << 30,                                           \
	  "size of the parts that a large file is sent in")                    \
	X(RENAME_DIR_LIMIT, "rename-dir-limit", NUMBER, "10000", NULL,         \
	  "NUMBER", 0, 100000,                                                 \
	  "the most objects of a directory that is renamed")                   \
	X(UID, "uid", UID, NULL, "the mounter", "NUMBER or NAME", 0, 0,        \
	  "owner of all files")                                                \
	X(GID, "gid", GID, NULL, "the mounter's group", "NUMBER or NAME", 0,   \
	  0, "group of all files")                                             \
	X(FILE_MODE, "file-mode", MODE, "0644", NULL, "OCTAL", 0, 0,           \
	  "permissions of files")                                              \
	X(DIR_MODE, "dir-mode", MODE, "0755", NULL, "OCTAL", 0, 0,             \
	  "permissions of directories")                                        \
	X(ALLOW_OTHER, "allow-other", FLAG, NULL, "on for root, else off",     \
	  NULL, 0, 0, "let other users in, as the permissions say")            \
	X(IGNORE_PERMS, "ignore-perms", FLAG, "off", NULL, NULL, 0, 0,         \
	  "chmod and chown do nothing and succeed")                            \
	X(WORKERS, "workers", WORKERS, NULL, "none",                           \
	  "HOST:PORT[+HOST:PORT...]/dns://NAME:PORT/etcd://HOST:PORT/PREFIX",  \
	  0, 0, "the ring of workers that are asked before the store")         \
	X(SERVE, "serve", ADDRESS, NULL, "off", "HOST:PORT", 0, 0,             \
	  "a mount: be one of the workers, with this mount's cache")           \
	X(TLS_CERT, "tls-cert", FILE, NULL, "none", "FILE", 0, 0,              \
	  "certificate by which workers and mounts know this one, PEM")        \
	X(TLS_KEY, "tls-key", FILE, NULL, "none", "FILE", 0, 0,                \
	  "its key, PEM, mode 0600")                                           \
	X(TLS_CA, "tls-ca", FILE, NULL, "none", "FILE", 0, 0,                  \
	  "who signs the certificates of workers and mounts, PEM")             \
	X(LISTEN, "listen", ADDRESS, "127.0.0.1:7070", NULL, "HOST:PORT", 0,   \
	  0, "worker: where it serves; port 0: one that is free")              \
	X(ADVERTISE, "advertise", ADDRESS, NULL, "listen", "HOST:PORT", 0, 0,  \
	  "how others reach this worker")                                      \
	X(WEIGHT, "weight", SIZE, NULL, "cache-size", "SIZE", 1,               \
	  INT64_C(1) << 60, "a worker's share, compared with the others'")     \
	X(CLUSTER_KEY_FILE, "cluster-key-file", FILE, NULL, "none", "FILE", 0, \
	  0,                                                                   \
	  "the ring's shared secret, one line, mode 0600: the SigV4 secret "   \
	  "of access key id tarn")                                             \
	X(LOG, "log", LOG, NULL, "syslog; stderr with -f",                     \
	  "FILE/syslog/stderr", 0, 0, "where messages go")                     \
	X(LOG_LEVEL, "log-level", CHOICE, "info", NULL, "err/warn/info/debug", \
	  0, 0, "the least important messages that are kept")

#define OPTION_ENUM(id, ...) OPT_##id,
enum option { OPTIONS(OPTION_ENUM) OPT_COUNT };
#undef OPTION_ENUM

enum option_kind {
	OPTION_FLAG,
	OPTION_CHOICE,
	OPTION_TEXT,
	OPTION_URL,
	OPTION_FILE,
	OPTION_DIRS,
	OPTION_SIZE,
	OPTION_SHARE,
	OPTION_TIME,
	OPTION_NUMBER,
	OPTION_MODE,
	OPTION_UID,
	OPTION_GID,
	OPTION_LOG,
	OPTION_ADDRESS,
	OPTION_CONSISTENCY,
	OPTION_WORKERS,
};

struct option_row {
	const char *name;
	enum option_kind kind;
	const char *def;      /* NULL: worked out at start */
	const char *def_text; /* how that is told */
	const char *choices;
	int64_t least, most;
	const char *about;
};

extern const struct option_row option_rows[OPT_COUNT];

/* Stronger sources have greater numbers. */
enum option_source {
	OPTION_DEFAULT,
	OPTION_FROM_FILE,
	OPTION_FROM_ENV,
	OPTION_FROM_COMMAND,
};

struct option_value {
	char *text; /* NULL: not set and no fixed default */
	char *from; /* "default", "command line", "environment", FILE:LINE */
	enum option_source source;
	int64_t number; /* size, time in ns, number, mode, id; flag 0 or 1 */
	bool percent;   /* cache-size: number is percent */
};

struct options {
	struct option_value v[OPT_COUNT];
	/* mount(8)'s words */
	bool exec, suid, dev;
	/* mount(8) gives them: it adds rw whenever nobody said ro. */
	bool by_mount8;
};

int options_new(struct options **out);
void options_free(struct options *o); /* NULL is allowed */

/*
 * Set one option from source. A value of a stronger source stays, but this
 * one is checked all the same. value NULL: the name stood alone. Returns
 * 0, -ENOMEM, or -EINVAL with a sentence in why.
 */
int options_set(struct options *o, const char *name, const char *value,
		enum option_source source, const char *from,
		char why[static WHY_MAX]);

/* The text of one -o: names and mount(8)'s words; `\,` is a comma. */
int options_parse(struct options *o, const char *text,
		  char why[static WHY_MAX]);

/* environ: TARN_NAME=value. */
int options_env(struct options *o, char *const *env, char why[static WHY_MAX]);

/* A JSON file. -ENOENT when it is absent (why is set as well). */
int options_file(struct options *o, const char *path, char why[static WHY_MAX]);

/* The first of the default files that is there, if any. */
int options_default_file(struct options *o, char why[static WHY_MAX]);

/* Is there an option of this name? */
bool options_known(const char *name);

/* Say what an unset default was worked out to be. */
int options_default(struct options *o, enum option opt, const char *text,
		    int64_t number);

const char *options_text(const struct options *o, enum option opt);
int64_t options_number(const struct options *o, enum option opt);
bool options_is_set(const struct options *o, enum option opt);

/* Is it to be written, in so many words (rw or ro=off)? */
bool options_writes_asked(const struct options *o);

/*
 * Is it to be refused if it cannot be written? The same, or the command says
 * where what is written is kept, or how it is committed.
 */
bool options_writes_meant(const struct options *o);

enum consistency options_consistency(const struct options *o, int64_t *ttl);

/* "cache-size SIZE or PERCENT ..." as `tarn help mount` shows it. */
void options_help(FILE *f);

#endif
