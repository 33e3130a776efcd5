/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_change.h - what the changes of an S3 store have in common
 *
 * A change says what it sends (with its checksum) and under which condition,
 * is run, and is believed only when the answer says that the store has just
 * these bytes. An answer that was lost is made up for by a look at the object.
 */
#ifndef UFS_S3_CHANGE_H
#define UFS_S3_CHANGE_H

#include <openssl/evp.h>

#include "ufs/s3_impl.h"
#include "ufs/s3_result.h"
#include "ufs/write.h"

#define S3_CHANGE_HEADERS 10
#define S3_CHANGE_QUERY 6

/* What an answer says of an object. */
struct s3_said {
	char etag[256];  /* as it was sent, with quotes; "" for none */
	int64_t seconds; /* since 1970: when it was made */
	char class[24];
	uint64_t size; /* of a HEAD */
	bool has_crc, has_md5;
	uint64_t crc;          /* CRC64NVME of all of its bytes */
	unsigned char md5[16]; /* the ETag looks like one */
};

struct s3_change {
	struct s3_op op;
	struct s3_header header[S3_CHANGE_HEADERS];
	struct sigv4_pair query[S3_CHANGE_QUERY];

	/* what is sent, for the object or for a part */
	const struct ufs_body *body; /* borrowed, or NULL */
	struct ufs_body checked;     /* the same, summed up as it is sent */
	uint64_t size;
	bool has_crc;
	uint64_t crc;
	char crc_text[CHECKSUM_CRC64_TEXT];
	uint64_t at, running; /* of checked */
	unsigned changed;     /* how often the sum was another */
	/* or their MD5, where the store's ETags are known to be that */
	const struct ufs_body *under; /* borrowed, or checked */
	struct ufs_body digested;
	EVP_MD_CTX *md; /* owned; NULL: none is taken */
	uint64_t md_at;
	bool has_md5; /* all was sent */
	unsigned char md5[16];

	/* what it is made of in place of a body */
	const struct ufs_part *parts; /* borrowed, or NULL */
	size_t nparts;

	/* under which condition */
	struct s3_header *cond; /* NULL: under none */
	char cond_text[260];

	/* what came back */
	const char *root; /* of the document, NULL: it is in the headers */
	bool needs_etag;
	int (*parse)(struct s3_change *c); /* of another document */
	size_t most;                       /* bytes of it */
	struct text answer;
	struct s3_result result;
	struct s3_said said;
	unsigned differed; /* how often it was of other bytes */
	bool doubted;      /* it had an ETag that may be no MD5 */
};

/* To be ended by s3_change_fini(), whatever happens in between. */
void s3_change_init(struct s3_change *c, struct s3 *s3, enum http_method method,
		    struct str key, enum stat_id count, struct cancel *cancel);
void s3_change_fini(struct s3_change *c);

/* Both are borrowed. */
void s3_change_header(struct s3_change *c, const char *name, const char *value);
void s3_change_query(struct s3_change *c, const char *name, const char *value);

/* It is one short step: all tries end within the time of one wait. */
void s3_change_short(struct s3_change *c);

/*
 * Bind it. -ESTALE at once when that is of a weak version, of which the store
 * knows nothing, and it is another by now.
 */
int s3_change_cond(struct s3_change *c, const struct ufs_cond *cond);

/* Send body: it is read once for its checksum. */
int s3_change_body(struct s3_change *c, const struct ufs_body *body);

/* The whole CRC of parts, if all have one; it becomes that of the object. */
void s3_change_parts(struct s3_change *c, const struct ufs_part *parts,
		     size_t n);

int s3_change_run(struct s3_change *c);

/*
 * Run what makes an object. *out: as the store has it now, also when that
 * was found by looking.
 */
int s3_change_make(struct s3_change *c, struct ufs_stat *out);

/* The object now, with its checksum. */
int s3_look(struct s3 *s3, struct str key, struct s3_said *out,
	    struct cancel *cancel);
void s3_said_stat(const struct s3_said *said, struct ufs_stat *out);

#endif
