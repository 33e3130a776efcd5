/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_top.c - tarn top [DIR|WORKER] [-d SECONDS] [-n COUNT] [--json]
 *
 * Looks at the mounts every second and shows what happened in between: on a
 * terminal as a screen, else as a line a mount, with --json as one line for
 * all. The first screen tells of the time since each mount began, a first
 * line waits for its second look.
 */
#include "fuse/cli.h"

#include <curses.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <wchar.h>

#include "base/clock.h"
#include "base/units.h"
#include "fuse/client.h"
#include "fuse/client_ring.h"
#include "fuse/json_text.h"
#include "fuse/top.h"

#define EVERY_MIN 0.1
#define EVERY_MAX 3600.0
#define BAR_WIDTH 10

/* One mount, as long as it is there. */
struct seen {
	struct seen *next;
	char *dir, *source; /* dir: of a worker where it is */
	char about[128];    /* "up 3 min, ttl:60s, passthrough on" */
	struct top_look look, before;
	bool has_before;
	bool fresh; /* seen by the last look */
};

struct top {
	char *dir;    /* only this one, or NULL */
	char *socket; /* of that */
	bool worker;  /* it is one, reached by ring */
	struct client_ring ring;
	int64_t every;
	long left; /* screens or lines still to be shown; -1: no end */
	bool json;
	struct seen *mounts; /* in order of directory */
};

/* A signal that ends us: the terminal is put back first. */
static volatile sig_atomic_t ended;

static void on_end(int sig)
{
	(void)sig;
	ended = 1;
}

static void seen_free(struct seen *s)
{
	free(s->dir);
	free(s->source);
	free(s);
}

static void top_fini(struct top *t)
{
	while (t->mounts != NULL) {
		struct seen *next = t->mounts->next;

		seen_free(t->mounts);
		t->mounts = next;
	}
	free(t->dir);
	free(t->socket);
	client_ring_close(&t->ring);
}

static void tell_about(struct seen *s, const json_t *status)
{
	const char *c =
	    json_string_value(json_object_get(status, "consistency"));
	bool pass = json_is_true(json_object_get(status, "passthrough"));
	int64_t up = s->look.uptime;
	char clean[64];

	snprintf(s->about, sizeof(s->about), "up %jd %s, pid %jd, %s%s",
		 (intmax_t)(up < 120      ? up
			    : up < 7200   ? up / 60
			    : up < 172800 ? up / 3600
					  : up / 86400),
		 up < 120      ? "s"
		 : up < 7200   ? "min"
		 : up < 172800 ? "h"
			       : "days",
		 (intmax_t)s->look.pid,
		 cli_clean(c != NULL ? c : "?", clean, sizeof(clean)),
		 json_object_get(status, "dir") == NULL ? ""
		 : pass                                 ? ", passthrough on"
							: ", passthrough off");
}

/* The place of dir in the list, made if need be; NULL: no memory. */
static struct seen *place_of(struct top *t, const struct client_mount *m)
{
	struct seen **p = &t->mounts, *s;

	while (*p != NULL && strcmp((*p)->dir, m->dir) < 0)
		p = &(*p)->next;
	if (*p != NULL && strcmp((*p)->dir, m->dir) == 0)
		return *p;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->dir = strdup(m->dir);
	s->source = strdup(m->source);
	if (s->dir == NULL || s->source == NULL) {
		seen_free(s);
		return NULL;
	}
	s->next = *p;
	*p = s;
	return s;
}

/* Of one mount nobody else is waited for, unless it has another socket now. */
static struct client_mount *ask(const struct top *t)
{
	struct client_mount *m = NULL;
	char why[WHY_MAX];

	if (t->worker)
		return client_worker_at(&t->ring, t->dir, why);
	if (t->socket != NULL)
		m = client_mount_at(t->socket);
	return m != NULL ? m : client_mounts(NULL);
}

/* Ask all mounts; those that are gone leave the list. */
static void look(struct top *t)
{
	struct client_mount *all = ask(t);
	int64_t now = clock_ns();
	struct seen **p, *s;

	for (s = t->mounts; s != NULL; s = s->next)
		s->fresh = false;
	for (const struct client_mount *m = all; m != NULL; m = m->next) {
		if (t->dir != NULL && strcmp(t->dir, m->dir) != 0)
			continue;
		s = place_of(t, m);
		if (s == NULL)
			continue;
		s->has_before = s->look.at != 0;
		s->before = s->look;
		s->fresh = true;
		top_look(m->status, now, &s->look);
		tell_about(s, m->status);
	}
	client_mounts_free(all);
	for (p = &t->mounts; (s = *p) != NULL;) {
		if (s->fresh) {
			p = &s->next;
			continue;
		}
		*p = s->next;
		seen_free(s);
	}
}

static void rates_of(const struct seen *s, struct top_rates *r)
{
	top_rates(s->has_before ? &s->before : NULL, &s->look, r);
}

/* ---- lines ---------------------------------------------------------------*/

static void clock_text(bool utc, char *buf, size_t size)
{
	time_t t = time(NULL);
	struct tm tm;

	if (utc)
		strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	else
		strftime(buf, size, "%H:%M:%S", localtime_r(&t, &tm));
}

static void print_json(const struct top *t)
{
	json_t *list = json_array(), *all;
	struct top_rates r;
	char when[32];

	for (const struct seen *s = t->mounts; s != NULL; s = s->next) {
		json_t *j;

		rates_of(s, &r);
		j = top_json(&s->look, &r);
		json_object_set_new(j, t->worker ? "worker" : "dir",
				    json_text(s->dir));
		json_object_set_new(j, "source", json_text(s->source));
		json_array_append_new(list, j);
	}
	clock_text(true, when, sizeof(when));
	all = json_pack("{s:s, s:o}", "time", when,
			t->worker ? "workers" : "mounts", list);
	if (all != NULL)
		json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(all);
	printf("\n");
}

static void print_lines(const struct top *t)
{
	char when[32], clean[1024];
	struct top_rates r;

	clock_text(false, when, sizeof(when));
	if (t->mounts == NULL)
		printf("%s  no mounts\n", when);
	for (const struct seen *s = t->mounts; s != NULL; s = s->next) {
		rates_of(s, &r);
		printf("%s  %s  ", when,
		       cli_clean(s->dir, clean, sizeof(clean)));
		top_line(&s->look, &r, stdout);
		printf("\n");
	}
}

static int gone(const struct top *t)
{
	return cli_fail(t->worker ? "no worker answers at %s any more"
				  : "%s is mounted no more",
			t->dir);
}

static void sleep_until(int64_t when)
{
	int64_t left = when - clock_ns();
	struct timespec ts;

	if (left <= 0)
		return;
	ts.tv_sec = left / NSEC_PER_SEC;
	ts.tv_nsec = left % NSEC_PER_SEC;
	nanosleep(&ts, NULL); /* a signal ends it early, and us after it */
}

static int in_lines(struct top *t)
{
	int64_t next = clock_ns();

	while (t->left != 0) {
		/* Of a slow look the beat is not made up for. */
		next = MAX(next + t->every, clock_ns());
		sleep_until(next);
		look(t);
		if (t->dir != NULL && t->mounts == NULL)
			return gone(t);
		if (t->json)
			print_json(t);
		else
			print_lines(t);
		if (fflush(stdout) != 0)
			return cli_fail("cannot write to the output");
		if (t->left > 0)
			t->left--;
	}
	return CLI_DONE;
}

/* ---- a screen ------------------------------------------------------------*/

enum look_of_line { PLAIN, TITLE, BAD };

/* What is drawn: lines, of which the terminal may show a part. */
struct screen {
	struct top *top;
	WINDOW *win;
	bool colour;
	int at;  /* the line that is shown first */
	int n;   /* lines so far, whether shown or not */
	int row; /* where the next one goes */
};

/* s within the screen's width, unprintable characters as '?'. */
static void put_text(const struct screen *sc, const char *s)
{
	int room = COLS;
	mbstate_t state = { 0 };

	while (*s != '\0' && room > 0) {
		wchar_t c;
		size_t n = mbrtowc(&c, s, MB_CUR_MAX, &state);
		int width;

		if (n == (size_t)-1 || n == (size_t)-2) {
			memset(&state, 0, sizeof(state));
			c = L'?';
			n = 1;
		}
		width = wcwidth(c);
		if (width < 0) {
			c = L'?';
			width = 1;
		}
		if (width > room)
			return;
		waddnwstr(sc->win, &c, 1);
		room -= width;
		s += n;
	}
}

static void put(struct screen *sc, enum look_of_line how, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void put(struct screen *sc, enum look_of_line how, const char *fmt, ...)
{
	char text[1024], clean[2048];
	attr_t attr = how == TITLE ? A_BOLD : A_NORMAL;
	va_list ap;

	if (sc->n++ < sc->at || sc->row >= LINES)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (how == BAD)
		attr = sc->colour ? COLOR_PAIR(1) | A_BOLD : A_REVERSE;
	wmove(sc->win, sc->row++, 0);
	wattrset(sc->win, (int)attr);
	put_text(sc, cli_clean(text, clean, sizeof(clean)));
	wattrset(sc->win, A_NORMAL);
}

/* "[####------]" */
static const char *bar(uint64_t part, uint64_t all, char buf[static 16])
{
	size_t n =
	    all > 0 ? (size_t)((double)MIN(part, all) / (double)all * BAR_WIDTH)
		    : 0;

	buf[0] = '[';
	memset(buf + 1, '-', BAR_WIDTH);
	memset(buf + 1, '#', n);
	strcpy(buf + 1 + BAR_WIDTH, "]");
	return buf;
}

static const char *rate(double n, char buf[static 32])
{
	units_format_size((uint64_t)n, buf, 30);
	return strcat(buf, "/s");
}

static void draw_reads(struct screen *sc, const struct top_rates *r)
{
	char opens[16], kernel[16], ssd[32], store[32], peer[40] = "", p[32];
	char hit[32] = "-";

	if (r->hit_known)
		snprintf(hit, sizeof(hit), "%.1f %%", r->hit * 100);
	if (r->per_s[TOP_peer_bytes] > 0)
		snprintf(peer, sizeof(peer), "   peers %s",
			 rate(r->per_s[TOP_peer_bytes], p));
	put(sc, PLAIN, "  from      ssd %s%s   store %s   hit %s",
	    rate(r->per_s[TOP_ssd_bytes], ssd), peer,
	    rate(r->per_s[TOP_store_bytes], store), hit);
	put(sc, PLAIN, "  opens     %s/s, of which the kernel reads %s/s alone",
	    top_number(r->per_s[TOP_opens], opens),
	    top_number(r->per_s[TOP_kernel_opens], kernel));
}

static void draw_store(struct screen *sc, const struct top_look *l,
		       const struct top_rates *r)
{
	char get[16], head[16], list[16], again[16], in[32];

	put(sc, PLAIN, "  store     GET %s/s   HEAD %s/s   LIST %s/s   in %s",
	    top_number(r->per_s[TOP_get], get),
	    top_number(r->per_s[TOP_head], head),
	    top_number(r->per_s[TOP_list], list),
	    rate(r->per_s[TOP_bytes_in], in));
	if (l->n[TOP_put] + l->n[TOP_copy] + l->n[TOP_delete] > 0)
		put(sc, PLAIN,
		    "            PUT %s/s   COPY %s/s   DELETE %s/s   out %s",
		    top_number(r->per_s[TOP_put], get),
		    top_number(r->per_s[TOP_copy], head),
		    top_number(r->per_s[TOP_delete], list),
		    rate(r->per_s[TOP_bytes_out], in));
	put(sc, r->per_s[TOP_errors] > 0 ? BAD : PLAIN,
	    "            retries %s/s (%" PRIu64 ")   errors %s/s (%" PRIu64
	    ")",
	    top_number(r->per_s[TOP_retries], again), l->n[TOP_retries],
	    top_number(r->per_s[TOP_errors], get), l->n[TOP_errors]);
}

static void draw_held(struct screen *sc, const struct top_look *l)
{
	char b[16], used[32], limit[32];

	put(sc, PLAIN,
	    "  memory    %s %s of %s   inodes %" PRIu64 "   handles %" PRIu64,
	    bar(l->memory, l->memory_limit, b),
	    units_format_size(l->memory, used, sizeof(used)),
	    units_format_size(l->memory_limit, limit, sizeof(limit)), l->inodes,
	    l->handles);
	for (size_t i = 0; i < l->ndisks; i++) {
		const struct top_disk *d = &l->disk[i];
		bool ok = strcmp(d->state, "ok") == 0;

		put(sc, ok ? PLAIN : BAD, "  ssd       %s %s of %s   %s   %s",
		    bar(d->bytes, d->limit, b),
		    units_format_size(d->bytes, used, sizeof(used)),
		    units_format_size(d->limit, limit, sizeof(limit)), d->state,
		    d->dir);
	}
}

static void draw_prefetch(struct screen *sc, const struct top_look *l,
			  const struct top_rates *r)
{
	char text[512] = "", one[128], n[32];

	for (size_t i = 0; i < l->nprefetch; i++) {
		double v = r->prefetch_per_s[i];

		if (l->prefetch[i].bytes)
			snprintf(one, sizeof(one), "%s %s   ",
				 l->prefetch[i].name, rate(v, n));
		else
			snprintf(one, sizeof(one), "%s %s/s   ",
				 l->prefetch[i].name, top_number(v, n));
		if (strlen(text) + strlen(one) < sizeof(text))
			strcat(text, one);
	}
	if (l->nprefetch > 0)
		put(sc, PLAIN, "  prefetch  %s", text);
}

static int last_start(const struct screen *sc)
{
	return MAX(sc->n - LINES, 0);
}

static void draw_once(struct screen *sc)
{
	char when[32], every[32];
	unsigned n = 0;

	for (const struct seen *s = sc->top->mounts; s != NULL; s = s->next)
		n++;
	clock_text(false, when, sizeof(when));
	werase(sc->win);
	sc->n = sc->row = 0;
	put(sc, TITLE, "tarn top  %s  every %s  %u %s%s  (q quits)", when,
	    units_format_time(sc->top->every, every, sizeof(every)), n,
	    sc->top->worker ? "worker" : "mount", n == 1 ? "" : "s");
	for (const struct seen *s = sc->top->mounts; s != NULL; s = s->next) {
		struct top_rates r;

		rates_of(s, &r);
		put(sc, PLAIN, " ");
		put(sc, TITLE, "%s %s %s", s->source,
		    sc->top->worker ? "by worker" : "on", s->dir);
		put(sc, PLAIN, "  %s%s", s->about,
		    r.since_start ? " (rates since it began)" : "");
		draw_reads(sc, &r);
		draw_store(sc, &s->look, &r);
		draw_prefetch(sc, &s->look, &r);
		draw_held(sc, &s->look);
	}
}

static void draw(struct screen *sc)
{
	draw_once(sc);
	/* The screen has grown, or a mount is gone. */
	if (sc->at > last_start(sc)) {
		sc->at = last_start(sc);
		draw_once(sc);
	}
	wrefresh(sc->win);
}

/* Keys until it is time for the next look. False: to end. */
static bool keys(struct screen *sc, int64_t until)
{
	for (;;) {
		int64_t left = until - clock_ns();
		struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
		int key;

		if (ended)
			return false;
		if (left <= 0)
			return true;
		wtimeout(sc->win, (int)(left / NSEC_PER_MSEC) + 1);
		key = wgetch(sc->win);
		switch (key) {
		case 'q':
		case 'Q':
			return false;
		case KEY_RESIZE:
			draw(sc);
			continue;
		case KEY_DOWN:
		case 'j':
			sc->at++;
			break;
		case KEY_UP:
		case 'k':
			sc->at = MAX(sc->at - 1, 0);
			break;
		case KEY_NPAGE:
		case ' ':
			sc->at += LINES / 2;
			break;
		case KEY_PPAGE:
			sc->at = MAX(sc->at - LINES / 2, 0);
			break;
		case ERR:
			/* At once: a signal, or nobody types any more. */
			if (until - clock_ns() > 2 * NSEC_PER_MSEC && !ended &&
			    poll(&p, 1, 0) != 0)
				return false;
			continue;
		default:
			continue;
		}
		draw(sc);
	}
}

static int show(struct screen *sc)
{
	struct top *t = sc->top;

	while (t->left != 0) {
		int64_t began = clock_ns();

		look(t);
		if (t->dir != NULL && t->mounts == NULL)
			return CLI_FAILED;
		draw(sc);
		if (t->left > 0)
			t->left--;
		if (!keys(sc, began + t->every))
			break;
	}
	return CLI_DONE;
}

/* False: this terminal cannot show a screen. */
static bool on_screen(struct top *t, int *code)
{
	struct sigaction end = { .sa_handler = on_end };
	struct screen sc = { .top = t };
	SCREEN *terminal;

	setlocale(LC_CTYPE, "");
	/* Not initscr(), which ends the process when it fails. */
	terminal = newterm(NULL, stdout, stdin);
	if (terminal == NULL)
		return false;
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sc.win = stdscr;
	cbreak();
	noecho();
	curs_set(0);
	keypad(sc.win, TRUE);
	sc.colour = cli_colour(stdout) && has_colors() && start_color() == OK &&
		    use_default_colors() == OK &&
		    init_pair(1, COLOR_RED, -1) == OK;
	*code = show(&sc);
	endwin();
	delscreen(terminal);
	if (*code == CLI_FAILED)
		gone(t);
	return true;
}

/* ---- the command ---------------------------------------------------------*/

/* "1", "0.5" */
static int parse_every(const char *text, int64_t *every)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end != '\0' || !(s >= EVERY_MIN && s <= EVERY_MAX))
		return -EINVAL;
	*every = (int64_t)(s * 1e9);
	return 0;
}

static int parse_count(const char *text, long *count)
{
	char *end;

	errno = 0;
	*count = strtol(text, &end, 10);
	return end == text || *end != '\0' || *count < 1 || errno != 0 ? -EINVAL
								       : 0;
}

/* The directory of the mount that holds path, into t->dir. */
static int choose(struct top *t, const char *path)
{
	struct client_mount *all = client_mounts(NULL), *m;
	AUTO_FREE char *below = NULL;
	int r = client_find_path(all, path, &m, &below);

	if (r == 0) {
		t->dir = strdup(m->dir);
		t->socket = strdup(m->socket);
		r = t->dir == NULL || t->socket == NULL ? -ENOMEM : 0;
	}
	client_mounts_free(all);
	if (r == -ENOENT)
		return cli_fail("%s is on no mount of yours; `tarn status` "
				"lists them",
				path);
	return r < 0 ? cli_fail("%s", strerror(-r)) : CLI_DONE;
}

/* The worker at an address, which answers now. */
static int choose_worker(struct top *t, const char *address, const char *o,
			 const char *config)
{
	struct client_mount *m = NULL;
	char why[WHY_MAX] = "out of memory";
	int r = client_ring_open(&t->ring, o, config);

	if (r != CLI_DONE)
		return r;
	t->worker = true;
	t->dir = strdup(address);
	if (t->dir != NULL)
		m = client_worker_at(&t->ring, address, why);
	if (m == NULL)
		r = cli_fail("%s", why);
	client_mounts_free(m);
	return r;
}

static int run(struct top *t)
{
	int code;

	if (!t->json && cli_terminal(stdout) && isatty(STDIN_FILENO) == 1 &&
	    on_screen(t, &code))
		return code;
	look(t); /* what the first line is compared with */
	return in_lines(t);
}

int cmd_top(int argc, char **argv)
{
	struct top t = { .every = NSEC_PER_SEC, .left = -1 };
	const char *every = NULL, *count = NULL, *o = NULL, *config = NULL;
	const struct cli_flag flags[] = {
		{ "-d", NULL, &every },      { "-n", NULL, &count },
		{ "--json", &t.json, NULL }, { "-o", NULL, &o },
		{ "-c", NULL, &config },
	};
	int n = cli_args("top", argc, argv, flags, ARRAY_SIZE(flags));
	int r = CLI_DONE;

	if (n < 0)
		return CLI_USAGE;
	if (n > 1)
		return cli_usage("top takes one directory or worker at most; "
				 "without any it shows all mounts");
	if (every != NULL && parse_every(every, &t.every) < 0)
		return cli_usage("top: -d %s: write seconds from 0.1 to 3600",
				 every);
	if (count != NULL && parse_count(count, &t.left) < 0)
		return cli_usage("top: -n %s: write a number from 1 on", count);
	if ((o != NULL || config != NULL) &&
	    (n == 0 || !tell_is_worker(argv[0])))
		return cli_usage("top: -o and -c go with a worker");
	if (n == 1)
		r = tell_is_worker(argv[0])
			? choose_worker(&t, argv[0], o, config)
			: choose(&t, argv[0]);
	if (r == CLI_DONE)
		r = run(&t);
	top_fini(&t);
	return r;
}
