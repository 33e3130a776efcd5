/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.h - the parts of objsim, a scriptable S3 store for tests
 *
 * A thread serves each connection with blocking calls on a bare socket, so
 * that an answer may be framed wrongly on purpose. objects.c holds the
 * objects, sums.c their checksums, list.c lists them, write.c changes them,
 * uploads.c makes them of parts, sign.c checks signatures, rules.c says which
 * request is to fail and how, journal.c remembers what was asked, s3.c works
 * out the right answer, send.c sends it, spoilt as the rule says, and control.c
 * is the tests' way in (/_sim/...).
 */
#ifndef OBJSIM_SIM_H
#define OBJSIM_SIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

/* Bytes with a length: keys may hold NUL. A NUL always follows them. */
struct bytes {
	char *p;
	size_t n;
};

struct bytes bytes_copy(const char *p, size_t n);
int bytes_cmp(struct bytes a, struct bytes b);
/* Percent-decode s (with plus: `+` is a space); the caller frees. */
struct bytes pct_decode(const char *s, size_t n, bool plus);
/* Percent-encode all but A-Za-z0-9-_.~ and, with slash, `/`. */
char *pct_encode(struct bytes b, bool slash);
/* `*` and `?` only; everything else stands for itself. */
bool glob_match(const char *pattern, struct bytes text);
int64_t now_ms(void);
void *need(void *p); /* p, or abort: a test tool has no way on */
/* Into XML; url: percent-encoded instead. */
void xml_text(FILE *f, struct bytes b, bool url);

/* ---- http.c: requests ---- */

enum { MAX_HEADERS = 200, MAX_PARAMS = 64 };

struct request {
	char *head; /* owns: the bytes that the pointers below point into */
	char *method;
	char *path;  /* raw, from the first slash, without the query */
	char *query; /* raw, "" when there is none */
	struct {
		char *name, *value;
	} headers[MAX_HEADERS];
	size_t nheaders;
	struct {
		char *name;
		struct bytes value; /* both owned */
		bool bare;          /* `?name` without `=` */
	} params[MAX_PARAMS];
	size_t nparams;
	char *trailer; /* owns: the headers behind an aws-chunked body */
	char *body;    /* owns; not there until request_body() */
	size_t body_len;
	bool close;
};

struct conn {
	int fd;
	char *buf; /* received, not yet used */
	size_t len, cap;
};

/* The head of the next request: 1, 0 at a clean end, -1 on anything else. */
int request_read(struct conn *c, struct request *r);
/* Its body, or the first most bytes of that. False: the connection ended. */
bool request_body(struct conn *c, struct request *r, uint64_t most);
void request_free(struct request *r);
const char *request_header(const struct request *r, const char *name);
/* The decoded value, or NULL. */
const struct bytes *request_param(const struct request *r, const char *name);

/* ---- objects.c ---- */

/* Bytes [off, off+len) of an object that has bytes of its own. */
struct piece {
	struct object *of; /* owns a ref */
	uint64_t off, len;
	uint64_t at; /* where they stand */
};

struct object {
	atomic_int refs;
	struct bytes key;
	uint64_t size;
	char *data;           /* owns; NULL: of pieces, or made of a seed */
	struct piece *pieces; /* owns; what was copied or put together */
	size_t npieces;
	uint64_t seed;
	char etag[200];         /* as sent, with its quotes; "" = none */
	char last_modified[64]; /* header form */
	char listed[64];        /* LIST's form */
	int64_t mtime;          /* seconds */
	char size_text[64];     /* told in place of size unless "" */
	char storage_class[32];
	char encoding[32];
	char content_type[64];
	char *meta;             /* owns: x-amz-meta- headers as sent, or NULL */
	char sse[32];           /* x-amz-server-side-encryption */
	char checksum[16];      /* "crc32c"...; "" = none */
	char checksum_text[96]; /* its value, in base64 */
	bool not_listed;        /* LIST leaves it out */
	bool restored;          /* archived, and there is a copy for a time */
};

struct bucket {
	char *name;
	struct object **objects; /* in key order */
	size_t n, cap;
};

void objects_lock(void);
void objects_unlock(void);
/* All below but object_ref and object_unref: with the lock held. */
struct bucket *bucket_find(const char *name, bool make);
void bucket_remove(const char *name);
void buckets_clear(void);
size_t bucket_lower_bound(const struct bucket *b, struct bytes key);
struct object *bucket_get(const struct bucket *b, struct bytes key);
void bucket_put(struct bucket *b, struct object *o); /* takes the ref */
bool bucket_delete(struct bucket *b, struct bytes key);

struct object *object_new(struct bytes key, char *data, uint64_t size,
			  uint64_t seed); /* takes key and data */
void object_set_mtime(struct object *o, int64_t mtime);
/* One without bytes; they are added. Its ETag is for the caller to set. */
struct object *object_of_pieces(struct bytes key); /* takes key */
void object_add(struct object *o, struct object *from, uint64_t off,
		uint64_t len);
void object_set_md5(struct object *o); /* the ETag: of its bytes */
/* What else was said of it: by a request's headers, of another object. */
void object_describe(struct object *o, const struct request *r);
void object_like(struct object *o, const struct object *other);
struct object *object_ref(struct object *o);
void object_unref(struct object *o);
/* The object's bytes [off, off+len). */
void object_fill(const struct object *o, uint64_t off, char *to, size_t len);
/* All of them in order, as they come. */
void object_each(const struct object *o,
		 void (*cb)(void *arg, const char *p, size_t n), void *arg);

/* ---- sums.c ---- */

enum { SUM_MAX = 64 };

/* "crc32", "crc32c"... NULL behind the last; md5 is the last. */
const char *sums_name(size_t i);
unsigned sums_size(const char *name); /* bytes; 0: no such checksum */
/* Returns how many bytes it has, 0: no such checksum. */
unsigned sums_of(const struct object *o, const char *name,
		 unsigned char out[static SUM_MAX]);
unsigned sums_of_bytes(const void *p, size_t n, const char *name,
		       unsigned char out[static SUM_MAX]);
void base64_of(const unsigned char *p, unsigned n, char to[static 96]);
/* Just n bytes; false: it is not their base64. */
bool base64_to(const char *text, unsigned n, unsigned char *to);
/* Work out o->checksum_text; false: no such checksum. */
bool sums_set(struct object *o, const char *name);

/* ---- rules.c ---- */

struct rule {
	struct rule *next;
	char *name;
	json_t *spec; /* owns */
	int64_t seen, fired;
	uint64_t random;
	bool released; /* `hold` lets go */
};

/* One request's rule, with what it says copied so that it may be removed. */
struct fault {
	char name[64];
	json_t *spec; /* owns; NULL: no rule fired */
};

/* Add one rule or an array of them; NULL or why not (static text). */
const char *rules_add(json_t *spec);
void rules_remove(const char *name); /* NULL: all; releases holds */
void rules_release(const char *name);
/* What a rule looks at. */
struct asked {
	const char *op, *bucket;
	struct bytes key;
	uint64_t offset;   /* of a range */
	const char *token; /* of a LIST */
	int64_t part;      /* its number, 0 for none */
};
bool rules_match(const struct asked *q, struct fault *out);
int64_t rules_fired(const char *name); /* NULL: all together */
json_t *rules_dump(void);
/* Wait until the rule is released or gone, or the peer hung up (false). */
bool rules_wait(const char *name, int fd);

const char *fault_text(const struct fault *f, const char *what);
int64_t fault_int(const struct fault *f, const char *what, int64_t otherwise);
bool fault_flag(const struct fault *f, const char *what);
/* Is what was asked for done? Is the connection reset after it? */
bool fault_applies(const struct fault *f);
bool fault_loses(const struct fault *f);

/* ---- journal.c ---- */

struct entry {
	int64_t at_ms;
	char op[16];
	char *bucket, *key; /* owned; key percent-encoded */
	char range[64], if_match[200], if_none_match[200];
	char *source; /* owned; of a copy, as it was sent */
	char rule[64], access[64];
	char query[300];
	int status;
	uint64_t bytes;    /* of the answer's body that were sent */
	uint64_t received; /* of the request's body */
	bool done;
};

size_t journal_begin(const struct entry *e); /* copies; returns its number */
void journal_received(size_t number, uint64_t bytes);
void journal_end(size_t number, int status, uint64_t bytes, const char *rule);
void journal_clear(void);
json_t *journal_dump(const struct request *r);
/* Of the requests that fit r's parameters. */
struct count {
	int64_t n, running; /* all, and those that have not ended */
	uint64_t bytes, received;
};
void journal_count(const struct request *r, struct count *out);

/* ---- sign.c ---- */

struct settings {
	char access[128], secret[128], token[256], region[64];
	bool anonymous; /* unsigned requests are welcome */
	bool check;     /* signatures are checked */
	bool payer;     /* who asks has to agree to pay */
	int64_t clock_offset_s;
	bool conditions;      /* of changes are looked at */
	bool copy_conditions; /* those of copies, on what they replace */
	bool complete_again;  /* is answered as it was the first time */
	uint64_t put_most, part_least, part_most, parts_most, object_most;
};
extern struct settings settings;

/* One more key, good for so many requests (-1: any number). */
void keys_put(const char *access, const char *secret, const char *token,
	      int64_t uses);
void keys_clear(void);

/* 0 when the request may go on, else the status with *code set. */
int sign_check(const struct request *r, const char **code);

/* ---- s3.c, list.c, write.c, send.c ---- */

struct target {
	const char *op;
	char bucket[256];
	struct bytes key; /* owned */
};

struct answer {
	int status;
	struct object *object; /* owns a ref; body is [off, off+len) of it */
	uint64_t off, len;
	char *text; /* owns: the body, where object is NULL */
	bool head;  /* headers only */
	char etag[200];
	char content_type[64];
	char content_range[100];
	char length_text[64]; /* told in place of len unless "" */
	char headers[8192];   /* others, each with its CRLF */
};

void answer_header(struct answer *a, const char *name, const char *value);
void answer_error(struct answer *a, int status, const char *code,
		  const char *message);
/* Serve one request; false: the connection is finished. */
bool s3_serve(struct conn *c, struct request *r);
/* Is tag one of the list, "*" for any? Weak tags are in no list. */
bool tag_listed(const char *list, const char *tag);
/* bytes=A-B, A-, -N into off and len: 1, 0: to be ignored, -1: a 416. */
int parse_range(const char *text, uint64_t size, uint64_t *off, uint64_t *len);
/* An object's checksum, and of what it is, as headers. */
void answer_checksum(struct answer *a, const struct object *o, bool type);
void list_answer(const struct request *r, const struct bucket *b,
		 struct answer *a);
/* Returns false when the connection is finished. */
bool answer_send(struct conn *c, const struct answer *a, const struct fault *f,
		 bool close, uint64_t *sent);

/* Reset the connection, at once or when the client gave up. */
void send_break(int fd, bool stall);
/* Read what the client still sends, so that it may read our answer. */
void send_drain(int fd);
/* Of write.c; with the lock not held. */
bool write_is_op(const char *op);
void write_answer(struct request *r, const struct target *t, struct answer *a);
/*
 * What write.c and uploads.c share. False, NULL: a says why not.
 */
bool write_conditions(const struct request *r, const struct object *old,
		      struct answer *a);
/* Is o what the checksums of its request say? It takes them over. */
bool write_sums(const struct request *r, struct object *o, struct answer *a);
/* What is to be copied; the caller drops the ref. */
struct object *write_source(const struct request *r, struct answer *a);
/* <ETag> and the elements of a checksum; a whole document with those. */
void write_tags(FILE *f, const struct object *o);
void write_result(struct answer *a, const struct object *o, const char *what);

/* ---- uploads.c ---- */

void upload_create(const struct request *r, const struct target *t,
		   struct answer *a);
void upload_part(struct request *r, const struct target *t, struct answer *a);
void upload_complete(const struct request *r, const struct target *t,
		     struct answer *a);
void upload_abort(const struct request *r, const struct target *t,
		  struct answer *a);
void upload_list(const struct request *r, const struct target *t,
		 struct answer *a);
void upload_parts(const struct request *r, const struct target *t,
		  struct answer *a);
/* How many are open that fit r's bucket and key; end them. */
int64_t uploads_count(const struct request *r, bool end);
void uploads_clear(void);

/* ---- control.c ---- */

bool control_serve(struct conn *c, struct request *r);

#endif
