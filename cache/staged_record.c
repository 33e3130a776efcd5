/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staged_record.c - the record beside a staged file, and its first error
 *
 * ID.json is replaced as a whole by renaming, so that it is always whole:
 *
 *   format      1
 *   store, prefix
 *   key         relative to the prefix; bytes that are not printable ASCII,
 *               and %, as %XX
 *   bound       "any", "absent", "exclusive" or "version", with version
 *   base        key, size, mtime, flags, version, storage_class of what is
 *               below what was written; absent when nothing is
 *   base_end    how far its bytes count
 *   written     [off, end, off, end...]: what ID.data has of the file. Not
 *               there when base_end is 0: all of it, holes are zeros
 *   clean       nothing is to be committed
 *   size, mtime (ns)
 *   error       errno that stuck, 0; words
 *   upload      id of an upload that was begun, for the store to drop it;
 *               "?" and the time (ns) while that is not known
 *   told        an error that opens of key are not told any more
 *   line, generation
 *               which file it is of, and which of its states: staged_ack.c
 *   acked       a close was told that it will be committed: ID.sums has the
 *               checksums of its pages (sums.h), and all three are on the disk
 *   sums        of acked: the hash of ID.sums
 *   recorded    when it was written (ns): of two files that had one name the
 *               last has it, and the times of files are coarser than a rename
 *   pid, boot   who wrote it
 *
 * ID.data is always as long as the file, and its flock is held by the process
 * that the file lives in: a record whose data can be locked is an orphan's.
 *
 * There is none of a file in memory (staged_memory.c). Else it is written when
 * the file is made or put on the disk, when a clean one is written again, when
 * a commit begins that is upon a base, before an upload is begun and when it
 * has, after a commit, when it is acknowledged, and when an error sticks; only
 * in the last two cases, and of what is acknowledged, is it, with the data,
 * brought to the disk by fsync; one that names an upload is, without the data,
 * so that a power cut leaves none behind (upload_abort.c). So a kill -9 in the
 * middle of writing leaves key, what it is bound to, and the size; of a file
 * without bytes of a base all its bytes; of one upon a base those that the
 * record of the last commit tells: what was written since is in ID.data, but
 * only its blocks tell where, not to the byte. A power cut may leave less of
 * what had no error and was not acknowledged.
 */
#include "cache/staging_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "cache/recover_impl.h"
#include "cache/staging_io.h"

static json_t *base_of(const struct staged_base *b)
{
	json_t *o = json_object();

	json_object_set_new(o, "key", record_text(b->key));
	json_object_set_new(o, "size", json_integer((json_int_t)b->st.size));
	json_object_set_new(o, "mtime", json_integer(b->st.mtime));
	json_object_set_new(o, "flags", json_integer(b->st.flags));
	json_object_set_new(o, "version", record_text(str_of(b->st.version)));
	json_object_set_new(o, "storage_class",
			    record_text(str_of(b->st.storage_class)));
	return o;
}

static json_t *ranges_of(const struct ranges *s)
{
	json_t *a = json_array();

	for (size_t i = 0; i < s->n; i++) {
		json_array_append_new(a, json_integer((json_int_t)s->r[i].off));
		json_array_append_new(a, json_integer((json_int_t)s->r[i].end));
	}
	return a;
}

static const char *bound_words(const struct staged *f)
{
	switch (f->bound) {
	case UFS_IF_ABSENT:
		return f->exclusive ? "exclusive" : "absent";
	case UFS_IF_VERSION:
		return "version";
	default:
		return "any";
	}
}

static json_t *named(const struct staging *s, struct str key)
{
	json_t *o = json_object();

	json_object_set_new(o, "format", json_integer(RECORD_FORMAT));
	json_object_set_new(o, "store", record_text(str_of(s->ufs->store)));
	json_object_set_new(o, "prefix", record_text(str_of(s->ufs->prefix)));
	json_object_set_new(o, "key", record_text(key));
	return o;
}

int staged_record_upload(struct staging *s, const char *id, struct str key,
			 const char *upload)
{
	json_t *o = named(s, key);
	AUTO_FREE char *words = NULL;

	json_object_set_new(o, "bound", json_string("any"));
	json_object_set_new(o, "version", json_string(""));
	json_object_set_new(o, "base_end", json_integer(0));
	json_object_set_new(o, "clean", json_true());
	json_object_set_new(o, "size", json_integer(0));
	json_object_set_new(o, "error", json_integer(0));
	json_object_set_new(o, "upload", record_text(str_of(upload)));
	words = json_dumps(o, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(o);
	return words == NULL ? -ENOMEM : record_put(s->dir, id, words, true);
}

static json_t *record_locked(struct staged *f)
    TSA(requires_capability(f->lock));

static json_t *record_locked(struct staged *f)
{
	json_t *o = named(f->staging, (struct str){ f->key, f->key_len });
	const char *upload = f->old_upload != NULL ? f->old_upload : f->upload;
	char hash[17];

	json_object_set_new(o, "bound", json_string(bound_words(f)));
	json_object_set_new(o, "version", record_text(str_of(f->version)));
	if (f->base != NULL)
		json_object_set_new(o, "base", base_of(f->base));
	json_object_set_new(o, "base_end",
			    json_integer((json_int_t)f->base_end));
	if (f->base_end > 0)
		json_object_set_new(o, "written", ranges_of(&f->held));
	json_object_set_new(o, "clean",
			    json_boolean(f->copies || !staged_dirty_locked(f)));
	json_object_set_new(o, "size", json_integer((json_int_t)f->size));
	json_object_set_new(o, "mtime", json_integer(f->mtime));
	json_object_set_new(o, "error", json_integer(f->err));
	if (f->err != 0)
		json_object_set_new(o, "words", json_string(strerror(f->err)));
	if (f->told)
		json_object_set_new(o, "told", json_true());
	if (upload != NULL)
		json_object_set_new(o, "upload", record_text(str_of(upload)));
	json_object_set_new(o, "line", json_string(f->line));
	json_object_set_new(o, "generation", json_integer(f->generation));
	json_object_set_new(o, "acked", json_boolean(staged_acked_locked(f)));
	snprintf(hash, sizeof(hash), "%016jx", (uintmax_t)f->acked_sums);
	if (staged_acked_locked(f))
		json_object_set_new(o, "sums", json_string(hash));
	json_object_set_new(o, "recorded", json_integer(clock_wall_ns()));
	json_object_set_new(o, "pid", json_integer(getpid()));
	json_object_set_new(o, "boot", json_string(clock_boot_id()));
	return o;
}

void staged_recording_begin_locked(struct staged *f)
{
	while (f->recording)
		event_wait(&f->changed, &f->lock);
	f->recording = true;
}

void staged_recording_end_locked(struct staged *f)
{
	f->recording = false;
	event_broadcast(&f->changed);
}

static void recording_end(struct staged *f)
{
	lock_take(&f->lock);
	staged_recording_end_locked(f);
	lock_drop(&f->lock);
}

/* Who calls is recording. */
static int put(struct staged *f, int fd, bool sync)
{
	AUTO_FREE char *words = NULL;
	bool clean, durable;
	json_t *o;
	int r;

	lock_take(&f->lock);
	/* In the place of one that is on the disk comes one that is. */
	sync = sync || f->acked;
	/* An upload is not to be forgotten either, whatever it is of (S17). */
	durable = sync || f->upload != NULL || f->old_upload != NULL;
	o = record_locked(f);
	clean = !staged_dirty_locked(f);
	/* One that fails may be there; but then, so may the one before it. */
	f->record_clean = f->record_clean || clean;
	lock_drop(&f->lock);
	words = json_dumps(o, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(o);
	if (sync && fdatasync(fd) < 0)
		return -errno;
	if (words == NULL)
		return -ENOMEM;
	r = record_put(f->staging->dir, f->id, words, durable);
	if (r == 0 && !clean) {
		lock_take(&f->lock);
		f->record_clean = false;
		lock_drop(&f->lock);
	}
	return r;
}

static int record(struct staged *f, bool sync)
{
	int fd, r = 0;

	lock_take(&f->lock);
	staged_recording_begin_locked(f);
	fd = f->removed || f->memory ? -1 : f->fd;
	lock_drop(&f->lock);
	if (fd >= 0)
		r = put(f, fd, sync);
	recording_end(f);
	return r;
}

int staged_record_of(struct staged *f, int fd)
{
	return put(f, fd, false);
}

int staged_record(struct staged *f)
{
	return record(f, false);
}

int staged_record_sync(struct staged *f)
{
	return record(f, true);
}

void staged_remove_files(struct staging *s, const char *id)
{
	static const char *const kinds[] = { "json", "data", "sums" };
	char name[STAGED_ID + 8];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(name, sizeof(name), "%s.%s", id, kinds[i]);
		unlinkat(s->dir, name, 0);
	}
}

void staged_record_remove(struct staged *f)
{
	bool none;

	lock_take(&f->lock);
	staged_recording_begin_locked(f);
	none = f->memory;
	lock_drop(&f->lock);
	if (!none)
		staged_remove_files(f->staging, f->id);
	recording_end(f);
}

/* Its bytes are to be kept. An error is set: nobody else gets the turn. */
static int keep_on_disk(struct staged *f)
{
	lock_take(&f->lock);
	while (f->writing && !pthread_equal(f->turn_of, pthread_self()))
		event_wait(&f->changed, &f->lock);
	lock_drop(&f->lock);
	return staged_spill(f);
}

int staged_stick(struct staged *f, int err, const char *what)
{
	char key[3 * UFS_KEY_MAX + 1];
	bool first, kept, acked;
	int r;

	lock_take(&f->lock);
	kept = f->fd >= 0 && !f->copies;
	acked = f->acked;
	first = f->err == 0 && !f->removed;
	if (first)
		f->err = -err;
	record_escape((struct str){ f->key, f->key_len }, key);
	if (first && kept)
		failed_note(f->staging, (struct str){ f->key, f->key_len },
			    f->id, err, f->size, false, f);
	event_broadcast(&f->changed);
	lock_drop(&f->lock);
	if (!first)
		return err;
	if (kept)
		stat_inc(STAT_commits_failed);
	upload_end_failed(f);
	if (f->copies)
		return err; /* who asked for it is told */
	if (!kept) {
		log_err("staging: %s: %s: %s", key, what, strerror(-err));
		return err;
	}
	r = keep_on_disk(f);
	if (r < 0) {
		log_err("staging: %s: %s: %s; what was written is lost when it "
			"is closed, as it cannot be kept: %s",
			key, what, strerror(-err), strerror(-r));
		return err;
	}
	log_err("staging: %s: %s: %s; what was written is kept in %s.data", key,
		what, strerror(-err), f->id);
	/* C2: what this says is final; nothing is sent of it any more. */
	r = record(f, true);
	if (r < 0)
		log_err("staging: %s: %s.data may not outlive a power cut: %s",
			key, f->id, strerror(-r));
	/* What came before it is not to be brought to the store instead. */
	if (acked)
		staged_drop_asides(f, UINT64_MAX);
	return err;
}
