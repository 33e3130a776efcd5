/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.c - one thread that takes all signals
 */
#include "fuse/signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include "base/base.h"
#include "base/clock.h"

struct signals {
	struct signals_do what;
	int sfd;
	int quit; /* eventfd */
	pthread_t thread;
};

static void the_four(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
}

void signals_block(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;

	the_four(&set);
	must(pthread_sigmask(SIG_BLOCK, &set, NULL));
	sigaction(SIGPIPE, &ignore, NULL);
}

static void take_one(struct signals *s)
{
	struct signalfd_siginfo si;

	if (read(s->sfd, &si, sizeof(si)) != sizeof(si))
		return;
	switch (si.ssi_signo) {
	case SIGHUP:
		s->what.reload(s->what.arg);
		break;
	case SIGUSR1:
		s->what.dump(s->what.arg);
		break;
	default:
		s->what.end(s->what.arg);
		break;
	}
}

static void *run(void *arg)
{
	struct signals *s = arg;
	struct pollfd p[2] = { { .fd = s->quit, .events = POLLIN },
			       { .fd = s->sfd, .events = POLLIN } };
	int64_t every = s->what.tick_ms * NSEC_PER_MSEC;
	int64_t next = clock_ns() + every;

	for (;;) {
		int64_t left = MAX(next - clock_ns(), 0);
		int n = poll(p, 2,
			     s->what.tick != NULL ? (int)(left / NSEC_PER_MSEC)
						  : -1);

		if (n < 0 && errno != EINTR)
			return NULL;
		if (n > 0 && p[0].revents != 0)
			return NULL;
		if (n > 0 && p[1].revents != 0)
			take_one(s);
		if (s->what.tick != NULL && clock_ns() >= next) {
			s->what.tick(s->what.arg);
			next = clock_ns() + every;
		}
	}
}

int signals_start(const struct signals_do *what, struct signals **out)
{
	struct signals *s = calloc(1, sizeof(*s));
	sigset_t set;
	int r = 0;

	if (s == NULL)
		return -ENOMEM;
	s->what = *what;
	the_four(&set);
	s->sfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->quit = eventfd(0, EFD_CLOEXEC);
	if (s->sfd < 0 || s->quit < 0)
		r = -errno;
	if (r == 0)
		r = -pthread_create(&s->thread, NULL, run, s);
	if (r == 0) {
		*out = s;
		return 0;
	}
	if (s->sfd >= 0)
		close(s->sfd);
	if (s->quit >= 0)
		close(s->quit);
	free(s);
	return r;
}

void signals_stop(struct signals *s)
{
	uint64_t one = 1;

	if (s == NULL)
		return;
	if (write(s->quit, &one, sizeof(one)) == sizeof(one))
		must(pthread_join(s->thread, NULL));
	close(s->sfd);
	close(s->quit);
	free(s);
}
