/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_answer.c - headers, errors, small bodies
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "ring/server_impl.h"

void time_iso(int64_t ns, char out[static 32])
{
	time_t s = (time_t)(ns / NSEC_PER_SEC);
	struct tm tm;
	char date[24];

	gmtime_r(&s, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, 32, "%s.%03dZ", date,
		 (int)(ns % NSEC_PER_SEC / NSEC_PER_MSEC));
}

/* Not by strftime(), which would speak the locale's language. */
void time_http(int64_t ns, char out[static 32])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t s = (time_t)(ns / NSEC_PER_SEC);
	char rest[16];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(rest, sizeof(rest), "%Y %H:%M:%S", &tm);
	snprintf(out, 32, "%.3s, %02u %.3s %s GMT", days + 3 * tm.tm_wday,
		 (unsigned)tm.tm_mday % 32, months + 3 * tm.tm_mon, rest);
}

void xml_add(struct text *t, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		switch (c) {
		case '&':
			text_adds(t, "&amp;");
			break;
		case '<':
			text_adds(t, "&lt;");
			break;
		case '>':
			text_adds(t, "&gt;");
			break;
		case '"':
			text_adds(t, "&quot;");
			break;
		case '\'':
			text_adds(t, "&apos;");
			break;
		default:
			/* XML 1.0 has no name for the rest of them; who has
			 * such keys asks for encoding-type=url. */
			if (c < ' ')
				text_addf(t, "&#x%x;", c);
			else
				text_add(t, (const char *)&c, 1);
		}
	}
}

/* Up to the next second, so that nothing seems younger than it is. */
void answer_age(struct exchange *x)
{
	int64_t now = clock_ns(), age = INT32_MAX; /* RFC 9111, 1.2.2 */

	if (x->taken > now - age * NSEC_PER_SEC)
		age = (now - x->taken + NSEC_PER_SEC - 1) / NSEC_PER_SEC;
	answer_header(x, "Age", "%" PRId64, MAX(age, 0));
}

void answer_header(struct exchange *x, const char *name, const char *fmt, ...)
{
	char value[WIRE_PAGES_TEXT + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (x->response != NULL)
		MHD_add_response_header(x->response, name, value);
}

void answer_with(struct exchange *x, unsigned status,
		 struct MHD_Response *response)
{
	if (x->response != NULL)
		MHD_destroy_response(x->response);
	x->status = status;
	x->response = response;
	answer_header(x, "Server", "tarn");
	answer_header(x, "x-amz-request-id", "%016" PRIX64, x->id);
	answer_header(x, WIRE_H_PROTOCOL, "%s", WIRE_PROTOCOL);
	if (atomic_load(&x->server->draining))
		answer_header(x, "Connection", "close");
}

struct MHD_Response *answer_nothing(void)
{
	static char nothing[1];

	return MHD_create_response_from_buffer(0, nothing,
					       MHD_RESPMEM_PERSISTENT);
}

void answer_text(struct exchange *x, unsigned status, const char *type,
		 char *text, size_t n)
{
	struct MHD_Response *r = NULL;

	if (text != NULL)
		r = MHD_create_response_from_buffer(n, text,
						    MHD_RESPMEM_MUST_FREE);
	if (r == NULL)
		free(text);
	answer_with(x, status, r);
	if (type != NULL)
		answer_header(x, "Content-Type", "%s", type);
}

void answer_error(struct exchange *x, unsigned status, const char *code,
		  const char *message)
{
	struct text t = { 0 };
	struct str target = str_of(x->target != NULL ? x->target : "");

	/* What is signed in a presigned URL stays out of logs. */
	target.n = strcspn(target.p, "?");
	text_adds(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		      "<Error><Code>");
	text_adds(&t, code);
	text_adds(&t, "</Code><Message>");
	text_adds(&t, message);
	text_adds(&t, "</Message><Resource>");
	xml_add(&t, target);
	text_addf(&t,
		  "</Resource><RequestId>%016" PRIX64 "</RequestId></Error>",
		  x->id);
	if (t.failed)
		text_fini(&t);
	answer_text(x, status, "application/xml", t.p, t.n);
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
		answer_header(x, "Retry-After", "1");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		answer_header(x, "Allow", "GET, HEAD");
	if (status == MHD_HTTP_BAD_REQUEST)
		answer_header(x, "Connection", "close");
}

void answer_errno(struct exchange *x, int err)
{
	switch (err) {
	case -ENOENT:
		answer_error(x, 404, "NoSuchKey",
			     "The specified key does not exist.");
		return;
	case -EACCES:
		answer_error(x, 403, "AccessDenied",
			     "The store refused this to the worker.");
		return;
	case -ESTALE:
		answer_error(x, 412, "PreconditionFailed",
			     "This version of the object is gone.");
		return;
	case -ENODATA:
		answer_error(x, 504, "NotHeld",
			     "This is not here, and the store was not to be "
			     "asked.");
		return;
	case -EOPNOTSUPP:
		answer_error(x, 501, "NotImplemented",
			     "The store does not have this.");
		return;
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EAGAIN:
		answer_error(x, 503, "SlowDown", "Please reduce your rate.");
		return;
	case -ECANCELED:
		answer_error(x, 503, "ServiceUnavailable",
			     "The worker is stopping.");
		return;
	/*
	 * The store failed us, and we are well: the codes are those that S3's
	 * clients know, and they ask again after a 502 as after a 503.
	 */
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
		answer_error(x, 502, "ServiceUnavailable",
			     "The store does not answer.");
		answer_header(x, "Retry-After", "1");
		return;
	case -EIO:
		answer_error(x, 502, "InternalError",
			     "The store did not give what it should.");
		return;
	default:
		answer_error(x, 500, "InternalError",
			     "The object could not be read.");
	}
}
