/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_run_impl.h - what the sources of a run that writes share
 */
#ifndef REFMODEL_WRITE_RUN_IMPL_H
#define REFMODEL_WRITE_RUN_IMPL_H

#include "tests/tools/refmodel-parts/write_model.h"
#include "tests/tools/refmodel-parts/write_run.h"

/* What the present operation may make of a key; bytes are borrowed. */
struct may {
	bool gone;
	const struct bytes *is[2];
	/* Each byte one of two contents', the size between theirs. */
	const struct bytes *from, *to;
};

struct write_run {
	struct write_front *front;
	const struct write_front_ops *ops;
	const struct write_config *config;
	struct outcome *out;
	bool trace;
	struct write_model model;
	struct may may[WRITE_KEYS];
	bool may_dir[WRITE_DIRS];
	unsigned content; /* the next new bytes are made of it */
	char *buf;        /* of BUF_BYTES */
};

enum { BUF_BYTES = 16 << 20 };

void write_wrong(struct write_run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A line of the trace: what an operation's numbers came to. */
void write_trace(struct write_run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* An error that a fault explains. */
bool write_excused(struct write_run *r, int err);
/* New bytes in r->buf. */
void write_content(struct write_run *r, uint64_t n);

/*
 * Look at the store: what has changed there is what the operation may have
 * made, and is known from now on.
 */
void write_observe(struct write_run *r);

/* Where numbers let something be; within the most that a file has. */
uint64_t write_place(const struct write_run *r, uint64_t size, uint32_t a,
		     uint32_t b);
uint64_t write_length(const struct write_run *r, uint64_t off, uint32_t c);

/* write_file.c: slots and their bytes. */
void write_open(struct write_run *r, unsigned mount, unsigned slot,
		unsigned key, int flags);
void write_close(struct write_run *r, unsigned slot);
void write_file_op(struct write_run *r, const struct op *op);
void write_burst(struct write_run *r, const struct op *op);

/* write_names.c: names and what becomes of them. */
void write_truncate(struct write_run *r, unsigned mount, unsigned key,
		    uint64_t size);
void write_name_op(struct write_run *r, const struct op *op);
void write_recover(struct write_run *r, unsigned mount);
/* May the directory of this key be absent, for this mount? */
bool write_dir_unsure(struct write_run *r, unsigned mount, unsigned key);
/*
 * Has the store nothing of this key's directory? Then no path leads to what a
 * mount writes there, until its commit makes the directory appear again: of
 * directories a mount knows what the store has.
 */
bool write_dir_gone(struct write_run *r, unsigned key);
/* What was written goes with its name. */
void write_discard(struct write_run *r, unsigned mount, unsigned key);

/* What opens are told of a commit's error: not that one was there (O_EXCL). */
int write_sticky(int err);
/* Its error is known now: it stays, and opens are told. */
void write_stuck(struct write_run *r, struct wfile *f, int err);

/*
 * How a commit of f ended; bound: would it find what it is bound to, when it
 * began?
 */
void write_committed(struct write_run *r, struct wfile *f, int err, bool bound);

#endif
