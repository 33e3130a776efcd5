/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_impl.h - the parts of the credentials chain
 *
 * creds.c: the set in use and its renewal. creds_open.c: who is asked, in
 * which order. creds_set.c: what all providers do with what they read. One
 * file each for the places where keys come from: creds_env.c,
 * creds_profile.c, creds_sts.c, creds_process.c, creds_sso.c with
 * creds_sso_token.c, creds_container.c, creds_imds.c.
 *
 * Words for people (why) name the thing and the fix in one sentence and hold
 * no word of an answer but an error's code: an answer may repeat a secret.
 */
#ifndef UFS_CREDS_IMPL_H
#define UFS_CREDS_IMPL_H

#include <jansson.h>

#include "ufs/awsconf.h"
#include "ufs/creds.h"
#include "ufs/encode.h"

/* What the fetches of a chain have in common. */
struct creds_site {
	const char *region;    /* or NULL: as the AWS files say */
	const char *ca_bundle; /* the same */
	struct cancel *cancel; /* the chain is being closed */
	int64_t patience;      /* with a program, ns; 0: a minute */
};

/*
 * Fetch into set. -ENOENT: it has no keys. -EAGAIN: it failed in a way that
 * may pass soon. -EINVAL: someone has to mend something. -ECANCELED, -ENOMEM.
 */
struct creds_provider;
typedef int creds_fetch(struct creds_provider *p, const struct creds_site *site,
			struct creds *set, char why[static 256]);

struct creds_provider {
	creds_fetch *fetch;
	void (*close)(struct creds_provider *p);
	char *profile; /* as asked for by name, or NULL; owned */
	bool fixed;    /* what it has can never change in this process */
	struct creds_provider *next;
};

void creds_providers_close(struct creds_provider *first);

/* The links of the chain, one function each. */
creds_fetch creds_from_env;          /* creds_env.c */
creds_fetch creds_from_web_identity; /* creds_env.c */
creds_fetch creds_from_profile;      /* creds_profile.c */
creds_fetch creds_from_container;    /* creds_container.c */
creds_fetch creds_from_imds;         /* creds_imds.c */

/* Where a profile may lead, too. */
int creds_env_fetch(struct creds *set, char why[static 256]);
int creds_container_fetch(const struct creds_site *site, struct creds *set,
			  char why[static 256]);

int creds_imds_fetch(const struct creds_site *site, const struct awsconf *aws,
		     struct creds *set, char why[static 256]);

/* creds_sts.c */
struct creds_role {
	const char *arn;
	const char *session_name; /* or NULL */
	const char *external_id;  /* or NULL */
	const char *duration;     /* seconds, or NULL */
};

/* With the keys of by; set's source and whose are the caller's to write. */
int creds_sts_assume_role(const struct creds_site *site,
			  const struct awsconf *aws,
			  const struct creds_role *role, const struct creds *by,
			  struct creds *set, char why[static 256]);

/* With the token in a file. */
int creds_sts_web_identity(const struct creds_site *site,
			   const struct awsconf *aws,
			   const struct creds_role *role, const char *file,
			   struct creds *set, char why[static 256]);

/*
 * Cut a command into at most most - 1 words, which are kept in words (as long
 * as the command). -EINVAL: a quote is open, or there is no word; -E2BIG.
 */
int creds_split(const char *command, char *words, char **argv, size_t most);

/* creds_process.c, creds_sso.c: as aws's profile says */
int creds_process_fetch(const struct creds_site *site,
			const struct awsconf *aws, struct creds *set,
			char why[static 256]);
int creds_sso_fetch(const struct creds_site *site, const struct awsconf *aws,
		    struct creds *set, char why[static 256]);

/* creds_sso_token.c: the login that `aws sso login` left */
struct creds_login {
	const char *session; /* or NULL: as of old */
	const char *url, *region, *account, *role;
};
int creds_sso_token(const struct creds_site *site, const struct awsconf *aws,
		    const struct creds_login *l, struct text *token,
		    char why[static 256]);

/* -EINVAL, and that someone has to log in: the login WHAT ("has expired"). */
int creds_sso_log_in(const struct awsconf *aws, const char *what,
		     char why[static 256]);

/* ---- creds_set.c ---- */

struct creds *creds_new(void); /* empty, one reference; or NULL */

/*
 * Copy what was read. -EINVAL when the id or the token could not stand in a
 * header; what names them, as in "WHAT holds spaces".
 */
int creds_keep(struct creds *set, const char *key, const char *secret,
	       const char *token, const char *what, char why[static 256]);

/* Write set->source and set->whose. 0 or -ENOMEM. */
int creds_source(struct creds *set, const char *fmt, ...) PRINTF_LIKE(2, 3);
int creds_whose(struct creds *set, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* It can stand in a header, and is not empty. s may be NULL. */
bool creds_printable(const char *s);

/* "2012-12-03T20:48:03Z", with a fraction or an offset; wall ns. */
bool creds_time(const char *text, int64_t *out);

/*
 * All of a small file that holds one secret, without the newlines at its
 * end. -EINVAL with *why set; what names it, as in "cannot read WHAT".
 */
int creds_read_file(const char *path, size_t most, const char *what,
		    struct text *out, char why[static 256]);

/* How one provider calls the members of an answer. */
struct creds_members {
	const char *key, *secret, *token, *expiry;
	bool temporary; /* there must be a token and an expiry */
};

/* What came as JSON; NULL when it is none. */
json_t *creds_json(const struct text *t);

/* Keys out of a JSON object. -EINVAL, what as in creds_keep(). */
int creds_from_json(const json_t *o, const struct creds_members *m,
		    struct creds *set, const char *what, char why[static 256]);

/*
 * An error's code if it can be one, else "": a few letters, digits and ".-_".
 * It is shorter than a secret key, lest one is told where a code belongs.
 */
#define CREDS_CODE_MAX 40
void creds_code(const char *from, char out[static CREDS_CODE_MAX]);

/* Make jansson leave no secret in the memory that it frees. */
void creds_wipe_json(void);

/* malloc and free that leave none; for expat, too. */
void creds_wiped_free(void *p);
void *creds_wiped_realloc(void *p, size_t n);

void creds_free_string(char *s); /* wiped; NULL is allowed */

#endif
