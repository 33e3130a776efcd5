/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_write_rig.h - a store that answers changes step by step
 *
 * A test lays down the steps: the n-th request is answered by the n-th of
 * them, those behind by the last. What was sent is kept, with its body.
 */
#ifndef TESTS_UNIT_UFS_WRITE_RIG_H
#define TESTS_UNIT_UFS_WRITE_RIG_H

#define SERVER_REQUEST_MAX (4 << 20)
#include "tests/unit/ufs_server.h"

#include "base/clock.h"
#include "base/crc.h"
#include "base/log.h"
#include "base/stats.h"
#include "ufs/checksum.h"
#include "ufs/ufs.h"
#include "ufs/write.h"

#define SEEN 64
#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define DATE_S 784111777

enum how {
	SAY,   /* the answer */
	RESET, /* none, and the connection is gone */
	HOLD,  /* none, ever */
	RAW,   /* body is all of the answer, and then a reset */
};

struct step {
	int status;
	const char *headers; /* NULL: none but length and date */
	const char *body;    /* NULL: "" */
	enum how how;
	int late;    /* ms before it */
	size_t size; /* of the object, to a HEAD */
};

#define SAYS(status, headers, body)                                            \
	{                                                                      \
		status, headers, body, SAY, 0, 0                               \
	}
/* The head of an object. */
#define TELLS(headers, size)                                                   \
	{                                                                      \
		200, headers, "", SAY, 0, size                                 \
	}
#define GOES                                                                   \
	{                                                                      \
		0, NULL, NULL, RESET, 0, 0                                     \
	}
#define CRC_LINE(crc) "x-amz-checksum-crc64nvme: " crc "\r\n"
#define ERROR(code) "<Error><Code>" code "</Code></Error>"

static struct store {
	struct server server;
	struct ufs *u;
	const struct ufs_write_ops *w;
	const struct step *step;
	size_t steps;
	char *seen[SEEN];
	struct ufs_stat out;
} st;

static void say_step(int fd, const char *request, const struct step *s)
{
	const char *headers = s->headers != NULL ? s->headers : "";
	const char *body = s->body != NULL ? s->body : "";
	bool head = strncmp(request, "HEAD ", 5) == 0;

	if (s->status == 204)
		server_say(fd, "HTTP/1.1 204 X\r\nDate: " DATE "\r\n%s\r\n",
			   headers);
	else
		server_say(fd,
			   "HTTP/1.1 %d X\r\nDate: " DATE
			   "\r\nContent-Length: %zu\r\n%s\r\n%s",
			   s->status, head ? s->size : strlen(body), headers,
			   head ? "" : body);
}

static enum server_then play(struct server *server, int fd, unsigned nth,
			     const char *request)
{
	const struct step *s =
	    &st.step[nth <= st.steps ? nth - 1 : st.steps - 1];
	const char *blank = strstr(request, "\r\n\r\n");
	size_t n = (size_t)(blank + 4 - request) + server_length(request);

	(void)server;
	if (nth <= SEEN) {
		st.seen[nth - 1] = malloc(n + 1);
		ck_assert_ptr_nonnull(st.seen[nth - 1]);
		memcpy(st.seen[nth - 1], request, n + 1);
	}
	if (s->late > 0)
		usleep((useconds_t)s->late * 1000);
	switch (s->how) {
	case RESET:
		return SERVER_RESET;
	case HOLD:
		return SERVER_HOLD;
	case RAW:
		server_send(fd, s->body, strlen(s->body));
		usleep(20000); /* that it is read before the reset */
		return SERVER_RESET;
	default:
		say_step(fd, request, s);
		return SERVER_KEEP;
	}
}

static void open_store(server_script *script, const struct step *step,
		       size_t steps, struct ufs_conf conf)
{
	char why[256] = "";

	setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "canarysecret", 1);
	setenv("HOME", "/nonexistent", 1);
	setenv("AWS_REGION", "us-east-1", 1);
	unsetenv("AWS_SESSION_TOKEN");
	unsetenv("AWS_PROFILE");
	unsetenv("AWS_ENDPOINT_URL");
	unsetenv("AWS_ENDPOINT_URL_S3");
	log_set_level(LOG_LEVEL_ERR);
	memset(&st, 0, sizeof(st));
	st.step = step;
	st.steps = steps;
	server_start(&st.server, script, NULL);
	conf.endpoint = st.server.endpoint;
	if (conf.url == NULL)
		conf.url = "s3://bucket/p";
	ck_assert_msg(ufs_open(&conf, &st.u, why) == 0, "%s", why);
	ck_assert_ptr_eq(ufs_writable(st.u), st.u);
	st.w = st.u->ops->write;
}

#define OPEN(conf, ...)                                                        \
	static const struct step laid[] = { __VA_ARGS__ };                     \
	open_store(play, laid, ARRAY_SIZE(laid), conf)
#define PLAIN ((struct ufs_conf){ .bandwidth_up = 0 })

static void close_store(void)
{
	ufs_close(st.u);
	server_stop(&st.server);
	for (size_t i = 0; i < SEEN; i++)
		free(st.seen[i]);
}

static unsigned requests(void)
{
	return atomic_load(&st.server.requests);
}

/* The nth request (from 1) begins so. */
static void check_line(unsigned nth, const char *line)
{
	const char *seen = st.seen[nth - 1];

	ck_assert_ptr_nonnull(seen);
	ck_assert_msg(strncmp(seen, line, strlen(line)) == 0, "%s", seen);
}

static bool has_header(unsigned nth, const char *header)
{
	char line[512];

	snprintf(line, sizeof(line), "\r\n%s", header);
	return strcasestr(st.seen[nth - 1], line) != NULL;
}

static const char *body_of(unsigned nth)
{
	return strstr(st.seen[nth - 1], "\r\n\r\n") + 4;
}

/* Bytes to be sent, and what goes wrong with them. */
struct bytes {
	struct ufs_body body;
	const char *p;      /* NULL: those of the test object */
	unsigned reads;     /* from the start */
	unsigned rot_first; /* the reading (from 1) from which on and the one */
	unsigned rot_last;  /* up to which they are others */
	int fails;          /* from the second reading on */
};

static int bytes_read(void *arg, uint64_t off, void *buf, size_t len)
{
	struct bytes *b = arg;
	char *out = buf;

	ck_assert_uint_le(off + len, b->body.size);
	if (off == 0)
		b->reads++;
	if (b->reads > 1 && b->fails != 0)
		return b->fails;
	for (size_t i = 0; i < len; i++)
		out[i] = b->p != NULL ? b->p[off + i]
				      : (char)object_byte((size_t)off + i);
	if (b->reads >= b->rot_first && b->reads <= b->rot_last)
		out[len - 1] ^= 1;
	return 0;
}

static struct bytes *bytes_init(struct bytes *b, const char *p, size_t n)
{
	memset(b, 0, sizeof(*b));
	b->p = p;
	b->body = (struct ufs_body){ .arg = b, .size = n, .read = bytes_read };
	return b;
}

static const struct ufs_cond any = { UFS_IF_ANY, NULL };
static const struct ufs_cond absent = { UFS_IF_ABSENT, NULL };
static const struct ufs_cond version = { UFS_IF_VERSION, "v1" };

/* CRC64NVME (worked out bit by bit) and MD5 of "hello", as they are sent. */
#define HELLO_CRC "M3eFcAZSQlc="
#define HELLO_MD5 "5d41402abc4b2a76b9719d911017c592"
#define OTHER_CRC "AAAAAAAAAAA="

#endif
