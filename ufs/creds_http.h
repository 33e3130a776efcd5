/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_http.h - one request to an endpoint that hands out keys
 *
 * STS, SSO, the container's and the instance's endpoint: few small answers,
 * a short deadline, no redirect (it would carry a token elsewhere), no netrc.
 * Plain HTTP is spoken only within the host and its link, whatever a name
 * resolves to, and never through a proxy.
 */
#ifndef UFS_CREDS_HTTP_H
#define UFS_CREDS_HTTP_H

#include "base/base.h"
#include "base/cancel.h"
#include "ufs/encode.h"

struct creds_call {
	const char *method;    /* "GET", "PUT", "POST" */
	struct text url;       /* complete and encoded */
	struct text headers;   /* "Name: value\n" each */
	struct text body;      /* of a POST */
	int64_t timeout;       /* of it all, ns */
	const char *ca_bundle; /* or NULL */
	struct cancel *cancel; /* or NULL */
};

struct creds_answer {
	int status;
	int64_t now;      /* its Date, wall ns; 0: it said none */
	struct text body; /* what came, at most 64 KiB */
};

/*
 * 0 when there is an answer, whatever its status; it is to be wiped with
 * creds_answer_wipe(), also after a failure. -EAGAIN: no answer, which may
 * change; -EINVAL: it never will be one; -ENOMEM, -ECANCELED. Words in *why
 * begin with the host. The call's texts are wiped.
 */
int creds_http(struct creds_call *call, struct creds_answer *out,
	       char why[static 256]);

/* What a status that is no success means: -EAGAIN if it may pass, -EINVAL. */
int creds_status(int status);

void creds_call_wipe(struct creds_call *call);
void creds_answer_wipe(struct creds_answer *a);

/* The host in a URL, with its port; "" when it is none. */
void creds_host(const char *url, char out[static 128]);

#endif
