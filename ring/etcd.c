/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd.c - requests to etcd's JSON gateway
 *
 * All transfers run in one multi handle, which keeps the connections, and in
 * steps of a tenth of a second, so that a cancel is seen soon. The watch is a
 * transfer that does not end; while it runs, other requests go beside it on a
 * connection of their own.
 *
 * The password is written into a request by hand: jansson would leave copies
 * of it in memory that nobody wipes.
 */
#include "ring/etcd.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "ring/members_impl.h"
#include "ufs/encode.h"
#include "ufs/http_curl.h"

#define ENDPOINTS_MAX 16
#define ANSWER_MAX MIB(16) /* of 8192 workers: 3 MiB */
#define PASSWORD_MAX KIB(4)
#define CONNECT_MS 1000
#define CALL_NS (3 * NSEC_PER_SEC) /* of one request to one endpoint */
#define STEP_MS 100                /* between looks at cancel */

struct transfer {
	CURL *curl;
	struct curl_slist *headers;
	struct text body;   /* of the request */
	struct text answer; /* what came and was not taken yet */
	bool huge;
	bool done;
	CURLcode code; /* when done */
};

struct etcd {
	/* set once at open */
	bool tls;
	char *ca, *cert, *key;      /* or NULL */
	char *user, *password;      /* or NULL */
	struct text prefix;         /* ends with a slash */
	char *hosts[ENDPOINTS_MAX]; /* "host:port" */
	unsigned n;

	CURLM *multi;
	unsigned at;    /* the endpoint that is asked first */
	char *token;    /* or NULL */
	bool open_said; /* that a password goes over plain HTTP */
	bool watching;
	struct transfer watch;
};

static char *env(const char *name)
{
	char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

static void wipe(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

/* A copy into *out, or NULL of NULL. */
static int copy(const char *s, char **out)
{
	if (s == NULL)
		return 0;
	*out = strdup(s);
	return *out != NULL ? 0 : -ENOMEM;
}

static int read_password_file(struct etcd *e, const char *path,
			      char why[static 256])
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ufs_why(why, -EINVAL, "ETCD_PASSWORD_FILE %.120s: %s",
			       path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & S_IRWXO) != 0)
		return ufs_why(why, -EINVAL,
			       "ETCD_PASSWORD_FILE %.120s is no file that is "
			       "hidden from others: chmod 600 it",
			       path);
	text = calloc(1, PASSWORD_MAX + 1);
	if (text == NULL)
		return -ENOMEM;
	n = read(fd, text, PASSWORD_MAX);
	text[strcspn(text, "\r\n")] = '\0';
	e->password = text;
	if (n <= 0 || text[0] == '\0')
		return ufs_why(why, -EINVAL,
			       "ETCD_PASSWORD_FILE %.120s has no password",
			       path);
	return 0;
}

/* Who we are, as etcdctl is told it, or by names of its own. */
static int read_user(struct etcd *e, char why[static 256])
{
	const char *user = env("ETCD_USERNAME");
	const char *password = env("ETCD_PASSWORD");
	const char *file = env("ETCD_PASSWORD_FILE");
	const char *colon = NULL;
	int r;

	if (user == NULL) {
		user = env("ETCDCTL_USER");
		colon = user != NULL ? strchr(user, ':') : NULL;
		password = colon != NULL ? colon + 1 : env("ETCDCTL_PASSWORD");
		file = NULL;
	}
	if (user == NULL)
		return 0;
	e->user = colon != NULL ? strndup(user, (size_t)(colon - user))
				: strdup(user);
	if (e->user == NULL)
		return -ENOMEM;
	if (file != NULL && password == NULL)
		return read_password_file(e, file, why);
	r = copy(password, &e->password);
	if (r == 0 && e->password == NULL)
		r = ufs_why(why, -EINVAL,
			    "etcd's user %.80s has no password: set "
			    "ETCD_PASSWORD or ETCD_PASSWORD_FILE",
			    e->user);
	return r;
}

static int read_tls(struct etcd *e, const struct members_conf *conf,
		    char why[static 256])
{
	const char *ca = env("ETCDCTL_CACERT"), *cert = env("ETCDCTL_CERT");
	const char *key = env("ETCDCTL_KEY");
	int r;

	/* A certificate and its key come from one place. */
	if (cert == NULL && key == NULL) {
		cert = conf->tls.cert;
		key = conf->tls.key;
	}
	if ((cert == NULL) != (key == NULL))
		return ufs_why(why, -EINVAL,
			       "etcd: a certificate needs its key, and a key "
			       "its certificate");
	r = copy(ca != NULL ? ca : conf->tls.ca, &e->ca);
	if (r == 0)
		r = copy(cert, &e->cert);
	if (r == 0)
		r = copy(key, &e->key);
	e->tls = e->ca != NULL || e->cert != NULL;
	return r;
}

static int read_endpoints(struct etcd *e, const char *text,
			  char why[static 256])
{
	const char *slash = strchr(text, '/');
	char name[MEMBERS_NAME_MAX];
	size_t n, end;
	int r;

	if (strchr(text, '@') != NULL)
		return ufs_why(why, -EINVAL,
			       "etcd:// takes no user or password: they are in "
			       "ETCD_USERNAME and ETCD_PASSWORD_FILE");
	end = slash != NULL ? strlen(slash) : 0;
	while (end > 0 && slash[end - 1] == '/')
		end--;
	if (end < 2)
		return ufs_why(why, -EINVAL,
			       "etcd://%.80s has no prefix: it is "
			       "etcd://HOST:PORT[,HOST:PORT...]/PREFIX",
			       text);
	text_add(&e->prefix, slash + 1, end - 1);
	text_adds(&e->prefix, "/");
	if (e->prefix.failed)
		return -ENOMEM;
	for (;; text += n + 1) {
		n = strcspn(text, ",+/");
		r = member_name((struct str){ text, n }, name, why);
		if (r < 0)
			return r;
		if (e->n == ENDPOINTS_MAX)
			return ufs_why(why, -EINVAL,
				       "etcd:// has more than %d endpoints",
				       ENDPOINTS_MAX);
		r = copy(name, &e->hosts[e->n]);
		if (r < 0)
			return r;
		e->n++;
		if (text[n] == '/')
			return 0;
	}
}

int etcd_open(const struct members_conf *conf, const char *text,
	      struct etcd **out, char why[static 256])
{
	struct etcd *e = calloc(1, sizeof(*e));
	int r;

	if (e == NULL)
		return -ENOMEM;
	r = read_endpoints(e, text, why);
	if (r == 0)
		r = read_user(e, why);
	if (r == 0)
		r = read_tls(e, conf, why);
	if (r == 0 && http_global_init() < 0)
		r = ufs_why(why, -EINVAL, "libcurl does not start");
	if (r == 0) {
		e->multi = curl_multi_init();
		r = e->multi != NULL ? 0 : -ENOMEM;
	}
	if (r < 0)
		etcd_close(e);
	else
		*out = e;
	return r;
}

void etcd_close(struct etcd *e)
{
	if (e == NULL)
		return;
	etcd_unwatch(e);
	curl_multi_cleanup(e->multi);
	for (unsigned i = 0; i < e->n; i++)
		free(e->hosts[i]);
	text_fini(&e->prefix);
	free(e->ca);
	free(e->cert);
	free(e->key);
	free(e->user);
	wipe(e->password);
	wipe(e->token);
	free(e);
}

struct str etcd_prefix(const struct etcd *e)
{
	return (struct str){ e->prefix.p, e->prefix.n };
}

int64_t etcd_number(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return json_is_string(v) ? strtoll(json_string_value(v), NULL, 10)
				 : json_integer_value(v);
}

json_t *etcd_bytes(struct str bytes)
{
	AUTO_FREE char *text = malloc(4 * ((bytes.n + 2) / 3) + 1);

	if (text == NULL)
		return NULL;
	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.p,
			(int)bytes.n);
	return json_string(text);
}

char *etcd_text(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);
	size_t n = json_string_length(v), padding = 0;
	const char *s = json_string_value(v);
	char *out;
	int got;

	if (n == 0 || n > ANSWER_MAX)
		return NULL;
	out = malloc(n + 1);
	if (out == NULL)
		return NULL;
	got = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)s,
			      (int)n);
	/* It counts what pads as bytes. */
	padding = (s[n - 1] == '=') + (n > 1 && s[n - 2] == '=');
	if (got < (int)padding) {
		free(out);
		return NULL;
	}
	out[(size_t)got - padding] = '\0';
	return out;
}

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	(void)size;
	if (t->answer.n + n > ANSWER_MAX) {
		t->huge = true;
		return 0;
	}
	text_add(&t->answer, p, n);
	return t->answer.failed ? 0 : n;
}

#define SET(option, value)                                                     \
	do {                                                                   \
		if (curl_easy_setopt(c, option, value) != CURLE_OK)            \
			return false;                                          \
	} while (0)

static bool prepare(struct etcd *e, struct transfer *t, const char *path)
{
	CURL *c = t->curl;
	char url[MEMBERS_NAME_MAX + 64];

	snprintf(url, sizeof(url), "%s://%s/v3/%s", e->tls ? "https" : "http",
		 e->hosts[e->at], path);
	if (!http_curl_policy(c, e->tls))
		return false;
	SET(CURLOPT_URL, url);
	SET(CURLOPT_HTTPHEADER, t->headers);
	if (e->ca != NULL)
		SET(CURLOPT_CAINFO, e->ca);
	if (e->cert != NULL) {
		SET(CURLOPT_SSLCERT, e->cert);
		SET(CURLOPT_SSLKEY, e->key);
	}
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	/* Hours may pass without a word on a watch: is it still there? */
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, 20L);
	SET(CURLOPT_TCP_KEEPINTVL, 10L);
	SET(CURLOPT_WRITEFUNCTION, on_data);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDSIZE, (long)t->body.n);
	SET(CURLOPT_POSTFIELDS, t->body.p);
	SET(CURLOPT_PRIVATE, t);
	return true;
}

static void end(struct etcd *e, struct transfer *t)
{
	if (t->curl != NULL) {
		curl_multi_remove_handle(e->multi, t->curl);
		curl_easy_cleanup(t->curl);
	}
	http_wipe_headers(t->headers);
	text_wipe(&t->body);
	text_wipe(&t->answer); /* it may hold a token */
	memset(t, 0, sizeof(*t));
}

/* t->body is set. On failure all of t is released. */
static int start(struct etcd *e, struct transfer *t, const char *path)
{
	bool ok = !t->body.failed && t->body.p != NULL;

	t->curl = curl_easy_init();
	ok = ok && t->curl != NULL && http_curl_line(&t->headers, "Expect:") &&
	     http_curl_line(&t->headers, "Content-Type: application/json");
	if (ok && e->token != NULL) {
		struct text line = { 0 };

		text_addf(&line, "Authorization: %s", e->token);
		ok = !line.failed && http_curl_line(&t->headers, line.p);
		text_wipe(&line);
	}
	ok = ok && prepare(e, t, path) &&
	     curl_multi_add_handle(e->multi, t->curl) == CURLM_OK;
	if (!ok)
		end(e, t);
	return ok ? 0 : -ENOMEM;
}

/* Let all transfers go on for a step at most. */
static void step(struct etcd *e, int64_t deadline)
{
	int64_t left = (deadline - clock_ns()) / NSEC_PER_MSEC + 1;
	CURLMsg *message;
	int running, more;

	curl_multi_perform(e->multi, &running);
	while ((message = curl_multi_info_read(e->multi, &more)) != NULL) {
		struct transfer *t = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
		t->done = true;
		t->code = message->data.result;
		left = 0;
	}
	if (left > 0)
		curl_multi_poll(e->multi, NULL, 0, (int)MIN(left, STEP_MS),
				NULL);
}

static long status_of(const struct transfer *t)
{
	long status = 0;

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* Why a transfer gave no answer. */
static int broken(const struct etcd *e, const struct transfer *t,
		  char why[static 256])
{
	const char *host = e->hosts[e->at];

	if (t->answer.failed || (t->done && t->code == CURLE_OUT_OF_MEMORY))
		return -ENOMEM;
	if (t->huge)
		return ufs_why(why, -EBADMSG,
			       "etcd at %.100s: the answer is too long", host);
	if (!t->done)
		return ufs_why(why, -EAGAIN,
			       "etcd at %.100s did not answer in time", host);
	return ufs_why(why, -EAGAIN, "etcd at %.100s: %.100s", host,
		       curl_easy_strerror(t->code));
}

/* What etcd says in words of an error; "" when it does not. */
static const char *words_of(const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	const char *words =
	    json_string_value(json_object_get(answer, "message"));

	if (words == NULL && json_is_object(error)) /* of a stream */
		words = json_string_value(json_object_get(error, "message"));
	if (words == NULL)
		words = json_string_value(error);
	return words != NULL ? words : "";
}

/* Is it that we are not who we should be, and could be with a new token? */
static bool wants_token(long status, const char *words)
{
	return status == 401 || strstr(words, "user name is empty") != NULL ||
	       strstr(words, "invalid auth token") != NULL ||
	       strstr(words, "revision of auth store is old") != NULL;
}

/*
 * One request to the endpoint at hand. 0 and the answer; -EACCES: a new token
 * may help; -EHOSTDOWN: another endpoint may; else as etcd_call().
 */
static int request(struct etcd *e, const char *path, const struct text *body,
		   json_t **out, struct cancel *cancel, char why[static 256])
{
	int64_t deadline = clock_ns() + CALL_NS;
	struct transfer t = { 0 };
	json_t *answer;
	long status;
	int r;

	text_add(&t.body, body->p, body->n);
	r = start(e, &t, path);
	if (r < 0)
		return r;
	while (!t.done && !cancelled(cancel) && clock_ns() < deadline)
		step(e, deadline);
	if (!t.done && cancelled(cancel)) {
		end(e, &t);
		return -ECANCELED;
	}
	if (!t.done || t.code != CURLE_OK) {
		r = broken(e, &t, why);
		end(e, &t);
		return r == -EAGAIN ? -EHOSTDOWN : r;
	}
	status = status_of(&t);
	answer =
	    t.answer.n > 0 ? json_loadb(t.answer.p, t.answer.n, 0, NULL) : NULL;
	end(e, &t);
	if (status == 200 && json_is_object(answer) &&
	    json_object_get(answer, "error") == NULL) {
		*out = answer;
		return 0;
	}
	if (status == 200)
		r = ufs_why(why, -EBADMSG,
			    "etcd at %.100s answers what is no answer: %.80s",
			    e->hosts[e->at], words_of(answer));
	else
		r = ufs_why(why,
			    wants_token(status, words_of(answer)) ? -EACCES
			    : status >= 500                       ? -EHOSTDOWN
			    : status == 404 && answer != NULL     ? -ENOENT
								  : -EAGAIN,
			    "etcd at %.100s: HTTP status %ld: %.100s",
			    e->hosts[e->at], status, words_of(answer));
	json_decref(answer);
	return r;
}

/* A JSON string, escaped. What is no UTF-8 etcd refuses. */
static void add_string(struct text *t, const char *s)
{
	text_adds(t, "\"");
	for (; *s != '\0'; s++)
		if (*s == '"' || *s == '\\' || (unsigned char)*s < 0x20)
			text_addf(t, "\\u%04x", (unsigned)(unsigned char)*s);
		else
			text_add(t, s, 1);
	text_adds(t, "\"");
}

/* Get a token from the endpoint at hand. */
static int authenticate(struct etcd *e, struct cancel *cancel,
			char why[static 256])
{
	struct text body = { 0 };
	json_t *answer = NULL;
	const char *token;
	int r;

	if (!e->tls && !e->open_said)
		log_warn("ring: etcd's password goes over plain HTTP to %s: "
			 "use TLS",
			 e->hosts[e->at]);
	e->open_said = true;
	wipe(e->token);
	e->token = NULL;
	text_adds(&body, "{\"name\":");
	add_string(&body, e->user);
	text_adds(&body, ",\"password\":");
	add_string(&body, e->password);
	text_adds(&body, "}");
	r = body.failed
		? -ENOMEM
		: request(e, "auth/authenticate", &body, &answer, cancel, why);
	text_wipe(&body);
	if (r < 0)
		return r;
	token = json_string_value(json_object_get(answer, "token"));
	if (token == NULL || strpbrk(token, "\r\n") != NULL)
		r = ufs_why(why, -EBADMSG,
			    "etcd at %.100s gives no token to %.80s",
			    e->hosts[e->at], e->user);
	else
		r = copy(token, &e->token);
	json_decref(answer);
	return r;
}

/* At the endpoint at hand, with a token if one is wanted. */
static int try_endpoint(struct etcd *e, const char *path,
			const struct text *body, json_t **out,
			struct cancel *cancel, char why[static 256])
{
	int r = request(e, path, body, out, cancel, why);

	if (r == -EACCES && e->user != NULL) {
		r = authenticate(e, cancel, why);
		if (r == 0)
			r = request(e, path, body, out, cancel, why);
	}
	return r;
}

static int dump(json_t *json, struct text *out)
{
	char *text = json_dumps(json, JSON_COMPACT);

	json_decref(json);
	if (text != NULL)
		text_adds(out, text);
	free(text);
	return out->failed || out->p == NULL ? -ENOMEM : 0;
}

int etcd_call(struct etcd *e, const char *path, json_t *body, json_t **out,
	      struct cancel *cancel, char why[static 256])
{
	struct text text = { 0 };
	json_t *answer = NULL;
	int r = dump(body, &text);

	for (unsigned i = 0; r == 0 && i < e->n; i++) {
		r = try_endpoint(e, path, &text, &answer, cancel, why);
		if (r != -EHOSTDOWN)
			break;
		e->at = (e->at + 1) % e->n;
		if (i + 1 < e->n)
			r = 0;
	}
	text_fini(&text);
	if (r == 0 && out != NULL)
		*out = answer;
	else
		json_decref(answer);
	return r == -EHOSTDOWN || r == -EACCES ? -EAGAIN : r;
}

int etcd_watch(struct etcd *e, json_t *body, char why[static 256])
{
	int r;

	(void)why;
	etcd_unwatch(e);
	r = dump(body, &e->watch.body);
	if (r == 0)
		r = start(e, &e->watch, "watch");
	else
		end(e, &e->watch);
	e->watching = r == 0;
	return r;
}

void etcd_unwatch(struct etcd *e)
{
	if (e->watching)
		end(e, &e->watch);
	e->watching = false;
}

/* A whole line out of what came; false: there is none yet. */
static bool take_line(struct transfer *t, json_t **out)
{
	char *newline =
	    t->answer.n > 0 ? memchr(t->answer.p, '\n', t->answer.n) : NULL;
	size_t n;

	if (newline == NULL)
		return false;
	n = (size_t)(newline - t->answer.p);
	*out = json_loadb(t->answer.p, n, 0, NULL);
	t->answer.n -= n + 1;
	memmove(t->answer.p, newline + 1, t->answer.n);
	return true;
}

int etcd_watched(struct etcd *e, int64_t deadline, json_t **out,
		 struct cancel *cancel, char why[static 256])
{
	struct transfer *t = &e->watch;
	json_t *line = NULL;

	if (!e->watching)
		return ufs_why(why, -EAGAIN, "there is no watch");
	while (!take_line(t, &line)) {
		if (t->done && t->code == CURLE_OK)
			return ufs_why(why, -EAGAIN,
				       "etcd at %.100s ended the watch: HTTP "
				       "status %ld",
				       e->hosts[e->at], status_of(t));
		if (t->done)
			return broken(e, t, why);
		if (cancelled(cancel))
			return -ECANCELED;
		if (clock_ns() >= deadline)
			return -ETIMEDOUT;
		step(e, deadline);
	}
	if (json_is_object(line)) {
		*out = line;
		return 0;
	}
	json_decref(line);
	return ufs_why(why, -EBADMSG,
		       "etcd at %.100s: the watch says what is no message",
		       e->hosts[e->at]);
}
