/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_http.c - one request to an endpoint that hands out keys
 */
#include "ufs/creds_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "ufs/http_impl.h"

#define ANSWER_MAX KIB(64) /* of headers, and of a body */

struct exchange {
	struct creds_call *call;
	struct creds_answer *answer;
	bool plain;   /* http */
	bool far;     /* and the address was of another network */
	bool huge;    /* the answer was too long */
	bool stopped; /* the chain is being closed */
	size_t headers;
	int64_t deadline;
	char host[128];
	char error[CURL_ERROR_SIZE];
};

void creds_call_wipe(struct creds_call *call)
{
	text_wipe(&call->url);
	text_wipe(&call->headers);
	text_wipe(&call->body);
}

void creds_answer_wipe(struct creds_answer *a)
{
	text_wipe(&a->body);
}

int creds_status(int status)
{
	return status >= 500 || status == 429 ? -EAGAIN : -EINVAL;
}

void creds_host(const char *url, char out[static 128])
{
	const char *begin = strstr(url, "://");
	size_t n;

	begin = begin != NULL ? begin + 3 : "";
	n = strcspn(begin, "/?#");
	snprintf(out, 128, "%.*s", (int)MIN(n, 127), begin);
	/* What stands before an @ may be a secret. */
	if (strchr(out, '@') != NULL)
		out[0] = '\0';
}

/* Loopback, link-local, and EC2's own addresses in fd00:ec2::/32. */
static bool is_near(const struct sockaddr *a)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;
	const uint8_t *b = v6->sin6_addr.s6_addr;
	uint32_t ip;

	if (a->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return b[12] == 127 || (b[12] == 169 && b[13] == 254);
	if (a->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
		       IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) ||
		       memcmp(b, "\xfd\x00\x0e\xc2", 4) == 0;
	if (a->sa_family != AF_INET)
		return false;
	ip = ntohl(v4->sin_addr.s_addr);
	return ip >> 24 == 127 || ip >> 16 == (169 << 8 | 254);
}

/* Here the address is known that libcurl is about to connect to. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose,
			       struct curl_sockaddr *a)
{
	struct exchange *x = arg;

	(void)purpose;
	if (x->plain && !is_near(&a->addr)) {
		x->far = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	int64_t seconds;
	char date[64];

	x->headers += n;
	if (x->headers > ANSWER_MAX) {
		x->huge = true;
		return 0;
	}
	if (n * size > 6 && n < sizeof(date) &&
	    strncasecmp(p, "date:", 5) == 0) {
		snprintf(date, sizeof(date), "%.*s", (int)n - 5, p + 5);
		if (http_date(date, &seconds) && seconds > 0 &&
		    seconds < UFS_MTIME_MAX_S)
			x->answer->now = seconds * NSEC_PER_SEC;
	}
	return n;
}

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;

	(void)size;
	if (x->answer->body.n + n > ANSWER_MAX) {
		x->huge = true;
		return 0;
	}
	text_add(&x->answer->body, p, n);
	return x->answer->body.failed ? 0 : n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c,
		       curl_off_t d)
{
	struct exchange *x = arg;

	(void)a, (void)b, (void)c, (void)d;
	x->stopped = cancelled(x->call->cancel);
	/* A host that suspends does not stop the clock of the deadline. */
	return x->stopped || clock_ns() >= x->deadline;
}

#define SET(option, value)                                                     \
	do {                                                                   \
		if (curl_easy_setopt(c, option, value) != CURLE_OK)            \
			return false;                                          \
	} while (0)

static bool prepare(CURL *c, struct exchange *x, struct curl_slist *headers)
{
	const struct creds_call *call = x->call;
	long ms = (long)(call->timeout / NSEC_PER_MSEC);

	if (!http_curl_policy(c, !x->plain))
		return false;
	SET(CURLOPT_ERRORBUFFER, x->error);
	SET(CURLOPT_URL, call->url.p);
	SET(CURLOPT_HTTPHEADER, headers);
	if (call->ca_bundle != NULL)
		SET(CURLOPT_CAINFO, call->ca_bundle);
	if (x->plain)
		SET(CURLOPT_PROXY, "");
	SET(CURLOPT_TIMEOUT_MS, ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, ms);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
	SET(CURLOPT_OPENSOCKETDATA, x);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, x);
	SET(CURLOPT_WRITEFUNCTION, on_data);
	SET(CURLOPT_WRITEDATA, x);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, x);
	if (strcmp(call->method, "GET") == 0)
		return true;
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDSIZE, (long)call->body.n);
	SET(CURLOPT_POSTFIELDS, call->body.p != NULL ? call->body.p : "");
	SET(CURLOPT_CUSTOMREQUEST, call->method);
	return true;
}

/* The lines, cut in place. False: out of memory. */
static bool header_list(struct creds_call *call, struct curl_slist **list)
{
	return http_curl_line(list, "Expect:") && /* never wait for a 100 */
	       (call->body.n > 0 || http_curl_line(list, "Content-Type:")) &&
	       http_curl_lines(list, &call->headers);
}

static int failure(const struct exchange *x, CURLcode code,
		   char why[static 256])
{
	if (code == CURLE_OUT_OF_MEMORY || x->answer->body.failed)
		return -ENOMEM;
	if (x->stopped)
		return -ECANCELED;
	if (x->far)
		return ufs_why(why, -EINVAL,
			       "%.100s: keys are not fetched by plain HTTP "
			       "from another host; give an https:// endpoint",
			       x->host);
	if (x->huge)
		return ufs_why(why, -EINVAL, "%.100s: the answer is too long",
			       x->host);
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_ABORTED_BY_CALLBACK:
		return ufs_why(why, -EAGAIN,
			       "%.100s did not answer within %g s", x->host,
			       (double)x->call->timeout / 1e9);
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SSL_CONNECT_ERROR:
		return ufs_why(why, -EAGAIN, "%.100s: %.120s", x->host,
			       curl_easy_strerror(code));
	default:
		return ufs_why(why, -EINVAL, "%.100s: %.120s", x->host,
			       x->error[0] != '\0' ? x->error
						   : curl_easy_strerror(code));
	}
}

static int perform(struct exchange *x, char why[static 256])
{
	CURL *c = curl_easy_init();
	struct curl_slist *list = NULL;
	long status = 0;
	int64_t begin = clock_ns();
	CURLcode code;
	int r = 0;

	x->deadline = begin + x->call->timeout;
	if (c == NULL || !header_list(x->call, &list) || !prepare(c, x, list)) {
		r = -ENOMEM;
	} else {
		code = curl_easy_perform(c);
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		x->answer->status = (int)status;
		if (code != CURLE_OK)
			r = failure(x, code, why);
		log_debug(LOG_UFS, "ufs: keys: %s %s: %d, %ju ms",
			  x->call->method, x->host, (int)status,
			  (uintmax_t)((clock_ns() - begin) / NSEC_PER_MSEC));
	}
	curl_easy_cleanup(c);
	http_wipe_headers(list);
	return r;
}

int creds_http(struct creds_call *call, struct creds_answer *out,
	       char why[static 256])
{
	struct exchange x = { .call = call, .answer = out };
	int r = -ENOMEM;

	memset(out, 0, sizeof(*out));
	if (!call->url.failed && !call->headers.failed && !call->body.failed &&
	    call->url.p != NULL) {
		creds_host(call->url.p, x.host);
		x.plain = strncasecmp(call->url.p, "http://", 7) == 0;
		if (x.host[0] == '\0' ||
		    (!x.plain &&
		     strncasecmp(call->url.p, "https://", 8) != 0)) {
			r = ufs_why(why, -EINVAL,
				    "an endpoint of keys is no URL of the form "
				    "https://HOST");
		} else {
			r = http_global_init();
			r = r == 0 ? perform(&x, why)
				   : ufs_why(why, r, "libcurl does not start");
		}
	}
	creds_call_wipe(call);
	return r;
}
