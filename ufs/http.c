/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.c - the tries of an operation, and the errno they end in
 *
 * This is SEMANTICS' table "from the store to errno", in one place: what is
 * tried again, for how long, and what is told when that did not help. A HEAD
 * and a LIST have a deadline for all tries together; the body of a GET has
 * one that each byte moves on. Tries that bring a fair piece of the body
 * start the backoff anew; those that bring a wrong answer are counted, so
 * that a store which is wrong each time is EIO soon.
 *
 * The deadline of a change stands still while bytes of a try go out or come
 * in: what it bounds is the time without any. Each try sends all of the body
 * again, so none starts the backoff anew: a store that takes the bytes and
 * then refuses them is not sent them for ever.
 */
#include "ufs/http.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "ufs/http_impl.h"

#define BACKOFF_FIRST_NS (50 * NSEC_PER_MSEC)
#define BACKOFF_MAX_NS (5 * NSEC_PER_SEC)
#define LEAST_LEFT_NS (20 * NSEC_PER_MSEC) /* for a try to be worth it */
#define FAIR_PIECE KIB(64)
#define WRONG_MAX 4
#define QUEUE_TIMEOUTS 10
#define AGAIN_MAX 4
#define CONFLICTS_MAX 3
#define DIGESTS_MAX 1
#define SAY_EVERY (60 * NSEC_PER_SEC)

const char *http_header(const struct http_answer *a, const char *name)
{
	const char *p = a->headers;
	/* An answer may have none, and then nothing was ever kept of one. */
	const char *end = p != NULL ? p + a->headers_n : NULL;

	while (p < end) {
		const char *value = p + strlen(p) + 1;

		if (strcmp(p, name) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}

bool http_date(const char *s, int64_t *seconds)
{
	time_t t = curl_getdate(s, NULL);

	if (t == -1)
		return false;
	*seconds = t;
	return true;
}

/* What to do after a try. */
enum plan { PLAN_END, PLAN_AGAIN, PLAN_LATER };

struct run {
	struct http *h;
	struct http_op *op;
	int64_t deadline;
	uint64_t total; /* of the object, once known */
	unsigned tries; /* since the last fair piece, for the backoff */
	unsigned wrong, again, stalls, conflicts, digests;
	bool reached; /* a try came as far as the store */
	bool fresh;
	bool resolve;   /* where the name led no connection came about */
	bool elsewhere; /* known addresses were tried in its place */
	bool paid;      /* this try is a retry that cost a token */
	bool busy;      /* the last answer said that the store is */
	struct try_result result;
};

/*
 * This process has no descriptor for one more connection. It is none of the
 * store's doing and costs it nothing: a connection that there is will do, as
 * soon as its request has ended.
 */
static bool no_files(const struct try_result *t)
{
	return t->end == TRY_CONNECT && t->err == -ENFILE;
}

const char *http_method_name(enum http_method m)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET",       [HTTP_HEAD] = "HEAD",
		[HTTP_PUT] = "PUT",       [HTTP_POST] = "POST",
		[HTTP_DELETE] = "DELETE",
	};

	return names[m];
}

static bool table_retries(const struct http_op *op, int status)
{
	switch (status) {
	case 408:
	case 409:
	case 429:
		return true;
	case 501:
	case 505:
		return false;
	case 507: /* a store that is full stays so for long */
		return !http_changes(op);
	default:
		return status >= 500;
	}
}

static int table_errno(const struct http_op *op, int status)
{
	switch (status) {
	case 404:
	case 410:
		if (op->absent != 0)
			return op->absent;
		return op->versioned ? -ESTALE : -ENOENT;
	case 409:
		return http_changes(op) ? -EBUSY : -ETIMEDOUT;
	case 413:
		return http_changes(op) ? -EFBIG : -EIO;
	case 401:
	case 403:
		return -EACCES;
	case 507:
		return http_changes(op) ? -ENOSPC : -ETIMEDOUT;
	case 412:
		return op->if_absent ? -EEXIST : -ESTALE;
	case 501:
		return -EOPNOTSUPP;
	default:
		return table_retries(op, status) ? -ETIMEDOUT : -EIO;
	}
}

static bool say_again(_Atomic int64_t *said)
{
	int64_t now = clock_ns(), last = atomic_load(said);

	return (last == 0 || now - last > SAY_EVERY) &&
	       atomic_compare_exchange_strong(said, &last, now);
}

static void note_busy(struct run *r)
{
	r->busy = true;
	stat_inc(STAT_store_throttled);
	if (say_again(&r->h->busy_said))
		log_warn("ufs: %s says that it is busy (%d%s%s): it is asked "
			 "less at a time",
			 r->op->where, r->result.answer.status,
			 r->op->code[0] != '\0' ? " " : "", r->op->code);
}

/* An answer that is no success: the driver knows its words. */
static enum plan after_status(struct run *r, int *err)
{
	struct http_op *op = r->op;
	const struct http_answer *a = &r->result.answer;
	enum http_next next;

	op->code[0] = '\0';
	next = op->ops->failed(op, a);
	ufs_fail(0, "%d%s%s from %s", a->status, op->code[0] ? " " : "",
		 op->code, op->where);
	if (next == HTTP_SLOWER || a->status == 503 || a->status == 429)
		note_busy(r);
	switch (next) {
	case HTTP_AGAIN:
		*err = -EIO;
		return r->again++ < AGAIN_MAX ? PLAN_AGAIN : PLAN_END;
	case HTTP_RETRY:
		*err = -EACCES;
		return PLAN_LATER;
	case HTTP_BUSY:
	case HTTP_SLOWER:
		*err = -ETIMEDOUT;
		return PLAN_LATER;
	case HTTP_DENIED:
		*err = -EACCES;
		return PLAN_END;
	case HTTP_ABSENT:
		*err = op->versioned ? -ESTALE : -ENOENT;
		return PLAN_END;
	case HTTP_BROKEN:
		*err = -EIO;
		return PLAN_END;
	case HTTP_UNSUPPORTED:
		*err = -EOPNOTSUPP;
		return PLAN_END;
	case HTTP_DIGEST:
		stat_inc(STAT_store_checksum_errors);
		*err = -EIO;
		return r->digests++ < DIGESTS_MAX ? PLAN_LATER : PLAN_END;
	case HTTP_TOO_LARGE:
		*err = -EFBIG;
		return PLAN_END;
	case HTTP_NO_UPLOAD:
		*err = -ENOLINK;
		return PLAN_END;
	case HTTP_AS_TABLE:
		break;
	}
	*err = table_errno(op, a->status);
	if (*err == -EBUSY && r->conflicts++ >= CONFLICTS_MAX)
		return PLAN_END;
	return table_retries(op, a->status) ? PLAN_LATER : PLAN_END;
}

static void say_tls(struct run *r)
{
	if (say_again(&r->h->tls_said))
		log_err("ufs: %s: the TLS connection was refused: %s",
			r->op->where, r->result.words);
}

static void say_no_name(struct run *r)
{
	if (say_again(&r->h->dns_said))
		log_warn("ufs: %s: its name cannot be resolved: it is asked "
			 "where it was before",
			 r->op->where);
}

static enum plan after_try(struct run *r, int *err)
{
	const struct try_result *t = &r->result;

	switch (t->end) {
	case TRY_DONE:
		*err = 0;
		return PLAN_END;
	case TRY_STATUS:
		return after_status(r, err);
	case TRY_STOPPED:
		*err = t->err;
		if (t->err == -ECANCELED)
			ufs_fail(0, "cancelled");
		return PLAN_END;
	default:
		break;
	}
	ufs_fail(0, "%s, from %s", t->words, r->op->where);
	r->reached = r->reached || t->end != TRY_CONNECT;
	if (no_files(t)) {
		*err = -ENFILE;
		return PLAN_LATER;
	}
	r->fresh = true;
	switch (t->end) {
	case TRY_WRONG:
		stat_inc(STAT_store_bad_answers);
		*err = -EIO;
		return r->wrong++ < WRONG_MAX ? PLAN_LATER : PLAN_END;
	case TRY_USELESS:
		stat_inc(STAT_store_bad_answers);
		*err = -EIO;
		return PLAN_END;
	case TRY_TLS:
		say_tls(r);
		*err = -EIO;
		return PLAN_END;
	case TRY_CONNECT:
		/* The deadline, in a connect that was as good as others. */
		*err = r->reached && clock_ns() >= r->deadline - LEAST_LEFT_NS
			   ? -ETIMEDOUT
			   : -EHOSTUNREACH;
		if (t->elsewhere && !r->elsewhere) {
			say_no_name(r);
			r->elsewhere = true;
			return PLAN_AGAIN;
		}
		r->resolve = true;
		return PLAN_LATER;
	case TRY_BROKEN:
		r->stalls += t->stalled;
		*err = -ETIMEDOUT;
		return PLAN_LATER;
	case TRY_MEMORY:
		*err = -ENOMEM;
		return PLAN_END;
	default:
		stat_inc(STAT_store_bad_answers);
		*err = -EIO;
		return PLAN_END;
	}
}

/*
 * Wait before the next try: longer each time, as long as the store asked for
 * at least, and until the budget of retries allows it. Never for more than
 * half of the time that is left: rather a last try in time than none. False:
 * there is no time for one; *err is told.
 */
static bool wait_to_retry(struct run *r, int *err)
{
	int64_t now = clock_ns(), left = r->deadline - now;
	int64_t most =
	    MIN(BACKOFF_FIRST_NS << MIN(r->tries, 10), BACKOFF_MAX_NS);
	int64_t wait = r->result.retry_after + ufs_jitter(most);
	int s;

	if (left < LEAST_LEFT_NS)
		return false;
	s = ufs_sleep_until(now + MIN(wait, left / 2), r->op->cancel);
	/* After a fair piece it is no retry but the rest. */
	r->paid = r->tries > 0 && !no_files(&r->result);
	if (s == 0 && r->paid)
		s = limit_pay(&r->h->limit, now + left / 2, r->op->cancel);
	if (s < 0)
		*err = s;
	return s == 0;
}

static void say_debug(const struct run *r, int64_t begin)
{
	const struct try_result *t = &r->result;

	log_debug(LOG_UFS, "ufs: %s %s: %s%s%d, %ju ms",
		  http_method_name(r->op->method), r->op->path,
		  t->end == TRY_STATUS ? "" : t->words,
		  t->end == TRY_STATUS ? "" : ", ", t->answer.status,
		  (uintmax_t)((clock_ns() - begin) / NSEC_PER_MSEC));
}

/* It may have been carried out, though no answer said so. */
static bool was_lost(const struct http_op *op, const struct try_result *t)
{
	if (http_changes(op) && t->resent)
		return true;
	switch (t->end) {
	case TRY_STATUS:
		/* Also what stands between us and the store says these. */
		return http_changes(op) && t->sent && t->answer.status >= 500 &&
		       t->answer.status != 501 && t->answer.status != 505 &&
		       t->answer.status != 507;
	case TRY_WRONG:
	case TRY_USELESS:
	case TRY_MALFORMED:
	case TRY_BROKEN:
	case TRY_MEMORY:
	case TRY_CONNECT: /* once more, after it was sent; see http_body.c */
	case TRY_TLS:
		return http_changes(op) && t->sent;
	default:
		return false;
	}
}

/* One request, and what to do then. */
static enum plan try_once(struct run *r, int *err)
{
	struct http_op *op = r->op;
	struct http_limits limits = {
		.deadline = r->deadline,
		/* A store that thinks for long is given longer each time. */
		.stall = r->h->conf.stall_timeout << MIN(r->stalls, 4),
		.fresh = r->fresh,
		.resolve = r->resolve,
	};
	struct http_handle *handle;
	uint64_t before;
	int64_t begin = clock_ns(), queue = r->deadline;
	enum limit_load load = LOAD_UNKNOWN;
	enum plan plan;

	if (http_changes(op))
		op->got = 0; /* of another answer */
	before = op->got;
	op->said = 0;
	op->deadline = r->deadline;
	/*
	 * A part of a file waits for its turn as long as others are sent: that
	 * is progress, if not its own.
	 */
	if (http_changes(op) && op->idle_timeout > 0)
		queue = r->deadline + QUEUE_TIMEOUTS * op->idle_timeout;
	*err =
	    http_take(r->h, op->total_timeout > 0 ? LANE_METADATA : LANE_DATA,
		      queue, op->cancel, &handle);
	if (queue > r->deadline)
		r->deadline += clock_ns() - begin;
	limits.deadline = op->deadline = r->deadline;
	if (*err < 0) {
		ufs_fail(0, "no connection to %s was free", op->where);
		return PLAN_END;
	}
	if (op->got > 0)
		stat_inc(STAT_store_resumes);
	http_try_run(r->h, handle, op, &limits, &r->total, &r->result);
	say_debug(r, begin);
	r->fresh = r->resolve = r->busy = false;
	if (http_changes(op)) {
		op->lost = op->lost || was_lost(op, &r->result);
		if (op->idle_timeout > 0)
			r->deadline += r->result.progress;
	} else if (op->got > before && op->idle_timeout > 0) {
		r->deadline = clock_ns() + op->idle_timeout;
	}
	if (!no_files(&r->result))
		r->tries++;
	if (!http_changes(op) && op->got > before &&
	    op->got - before >= FAIR_PIECE)
		r->tries = r->wrong = r->stalls = 0;
	plan = after_try(r, err); /* the answer lives in the handle */
	/* It broke when there was nothing left to come. */
	if (plan == PLAN_LATER && op->ranged && r->total != UINT64_MAX &&
	    op->got == MIN(op->len, r->total - op->off)) {
		*err = 0;
		plan = PLAN_END;
	}
	if (r->busy)
		load = LOAD_BUSY;
	else if (r->result.end == TRY_DONE ||
		 (r->result.end == TRY_STATUS && plan == PLAN_END))
		load = LOAD_RIGHT; /* a 404 is a good answer, too */
	handle->spent = no_files(&r->result);
	http_put(r->h, handle, load, r->paid);
	return plan;
}

/*
 * An outage is said at its beginning and its end, not by each who meets it. A
 * store that never answered is the mount's matter, which is refused.
 */
static void say_silent(struct http *h, const struct http_op *op, int err)
{
	bool silent = err == -ETIMEDOUT || err == -EHOSTUNREACH;
	int was = atomic_load(&h->heard);

	if (err == -ECANCELED || was == (silent ? SILENT : ANSWERS) ||
	    (silent && was == NOTHING_YET))
		return;
	was = atomic_exchange(&h->heard, silent ? SILENT : ANSWERS);
	if (silent && was == ANSWERS)
		log_warn("ufs: %s does not answer: %s; what is cached is still "
			 "served",
			 op->where, ufs_last_error());
	else if (!silent && was == SILENT)
		log_info("ufs: %s answers again", op->where);
}

/* The store's fault, or ours; the others are answers. */
static bool is_failure(int err)
{
	switch (err) {
	case 0:
	case -ENOENT:
	case -EEXIST:
	case -ESTALE:
	case -ENOLINK:
	case -ECANCELED:
		return false;
	default:
		return true;
	}
}

int http_run(struct http *h, struct http_op *op)
{
	struct run r = {
		.h = h,
		.op = op,
		.deadline =
		    clock_ns() + (op->total_timeout > 0 ? op->total_timeout
							: op->idle_timeout),
		.total = op->whole ? op->len : UINT64_MAX,
	};
	enum plan plan;
	int err;

	op->got = 0;
	op->lost = false;
	op->code[0] = '\0';
	for (;;) {
		plan = try_once(&r, &err);
		if (plan == PLAN_END)
			break;
		r.paid = false;
		if (plan == PLAN_LATER && !wait_to_retry(&r, &err))
			break;
		stat_inc(STAT_store_retries);
	}
	if (is_failure(err))
		stat_inc(STAT_store_errors);
	say_silent(h, op, err);
	return err;
}
