/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.h - every number tarn counts, one row each
 *
 * The table feeds the enum, `tarn status`, the metrics (tarn_NAME of gauges,
 * tarn_NAME_total of counters) and the manual page. Counters only grow; gauges
 * go both ways. Relaxed atomics: a reader may see one number a moment before
 * another.
 */
#ifndef BASE_STATS_H
#define BASE_STATS_H

#include <stdint.h>

#define STATS(X)                                                               \
	X(COUNTER, read_bytes, "bytes answered by the daemon")                 \
	X(COUNTER, passthrough_opens, "opens handed to the kernel")            \
	X(COUNTER, opens, "files opened")                                      \
	X(COUNTER, ssd_bytes, "bytes read from the local SSD")                 \
	X(COUNTER, peer_bytes, "bytes of demand reads that workers sent")      \
	X(COUNTER, peer_bytes_in, "bytes received from peer workers")          \
	X(COUNTER, store_bytes, "bytes of demand reads that the store sent")   \
	X(COUNTER, peer_get, "GET requests sent to peer workers")              \
	X(COUNTER, peer_head, "HEAD requests sent to peer workers")            \
	X(COUNTER, peer_list, "LIST requests sent to peer workers")            \
	X(COUNTER, peer_errors, "of these, failed or answered wrongly")        \
	X(COUNTER, peer_wrong, "of these, answered wrongly")                   \
	X(COUNTER, peer_hedges, "slow ones asked of another source as well")   \
	X(COUNTER, peer_hedge_wins, "of these, answered there first")          \
	X(COUNTER, peer_previous, "of the GETs, to owners before a change")    \
	X(COUNTER, peer_spread, "of the GETs, to replicas of hot objects")     \
	X(COUNTER, peer_fallbacks, "requests left to the store by workers")    \
	X(COUNTER, peer_told, "words to workers of what was changed")          \
	X(COUNTER, store_token_waits,                                          \
	  "of these, held back to spare the store")                            \
	X(COUNTER, store_get, "GET requests sent")                             \
	X(COUNTER, store_head, "HEAD requests sent")                           \
	X(COUNTER, store_list, "LIST requests sent")                           \
	X(COUNTER, store_put, "PUT and POST requests sent")                    \
	X(COUNTER, store_copy, "server-side copies asked for")                 \
	X(COUNTER, store_delete, "DELETE requests sent")                       \
	X(COUNTER, store_errors, "requests that failed for good")              \
	X(COUNTER, store_retries, "requests sent again")                       \
	X(COUNTER, store_throttled, "answers that said the store is busy")     \
	X(COUNTER, store_retry_waits, "retries held back to spare the store")  \
	X(COUNTER, store_hedges, "slow requests sent a second time")           \
	X(COUNTER, store_hedge_wins, "of these, answered first")               \
	X(COUNTER, store_dns_fallbacks, "connections without a name server")   \
	X(COUNTER, store_resumes, "transfers resumed at the received offset")  \
	X(COUNTER, store_bad_answers, "answers refused: length, range, ETag")  \
	X(COUNTER, store_verified, "objects as the store's checksum says")     \
	X(COUNTER, store_checksum_errors, "objects that differed from it")     \
	X(COUNTER, store_bytes_in, "body bytes received from the store")       \
	X(COUNTER, store_bytes_out, "body bytes sent to the store")            \
	X(COUNTER, commits_done, "written files that the store has taken")     \
	X(COUNTER, commits_failed, "of those that it has not, those kept")     \
	X(COUNTER, saved_get, "GET requests a cache answered")                 \
	X(COUNTER, saved_head, "HEAD requests a cache answered")               \
	X(COUNTER, saved_list, "LIST requests a cache answered")               \
	X(COUNTER, saved_bytes, "bytes a cache answered")                      \
	X(COUNTER, fills, "runs of pages fetched")                             \
	X(COUNTER, fill_joined, "misses that waited for another's fill")       \
	X(COUNTER, fill_bytes, "bytes fetched into the cache")                 \
	X(COUNTER, evicted_bytes, "bytes evicted from the SSD")                \
	X(COUNTER, evicted_files, "files evicted from the SSD")                \
	X(COUNTER, bad_pages, "pages found torn, foreign or rotten")           \
	X(COUNTER, scrub_files, "files on the SSD that the scrub read back")   \
	X(COUNTER, scrub_bytes, "bytes on the SSD that the scrub read back")   \
	X(COUNTER, scrub_bad, "bad pages that the scrub found")                \
	X(COUNTER, ssd_errors, "failed reads and writes of the SSD")           \
	X(COUNTER, ssd_hedges, "reads of a stalled SSD sent to the store")     \
	X(COUNTER, ssd_unadmitted, "pages not written to the SSD")             \
	X(COUNTER, prefetch_files, "files of data sets fetched ahead")         \
	X(COUNTER, prefetch_bytes, "bytes of data sets fetched ahead")         \
	X(COUNTER, prefetch_read_files, "of those files, opened since")        \
	X(COUNTER, prefetch_read_bytes, "of those bytes, opened since")        \
	X(COUNTER, memory_waits, "fetches that waited for memory")             \
	X(COUNTER, inode_asks, "inodes the kernel was asked to forget")        \
	X(COUNTER, plain_entries, "entries listed without an inode to spare")  \
	X(COUNTER, interrupted, "requests ended by a signal")                  \
	X(GAUGE, commits_pending, "commits under way")                         \
	X(GAUGE, store_limit, "requests that the store is asked at a time")    \
	X(GAUGE, spool_bytes, "memory of listings that are being written")     \
	X(GAUGE, listing_bytes, "memory of parts of listings that are held")   \
	X(GAUGE, inodes, "inodes the kernel knows")                            \
	X(GAUGE, inode_bytes, "memory that these inodes take")                 \
	X(GAUGE, handles, "open files and directories")                        \
	X(GAUGE, locks, "locks that processes hold on files")                  \
	X(GAUGE, lock_waits, "asked for by processes that wait for others")    \
	X(GAUGE, memory_bytes, "bytes of the memory budget in use")

#define STATS_ENUM(kind, name, help) STAT_##name,
enum stat_id { STATS(STATS_ENUM) STAT_COUNT };
#undef STATS_ENUM

enum stat_kind { STAT_COUNTER, STAT_GAUGE };

void stat_add(enum stat_id s, int64_t n);
int64_t stat_read(enum stat_id s);
const char *stat_name(enum stat_id s);
const char *stat_help(enum stat_id s);
enum stat_kind stat_kind(enum stat_id s);

static inline void stat_inc(enum stat_id s)
{
	stat_add(s, 1);
}

#endif
