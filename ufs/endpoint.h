/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.h - http[s]://HOST[:PORT][/PATH], as people give it
 */
#ifndef UFS_ENDPOINT_H
#define UFS_ENDPOINT_H

#include "base/base.h"

struct endpoint {
	char *scheme; /* "https" or "http" */
	char *host;   /* lower case, with a port that is not the usual one */
	char *base;   /* "" or "/s3" */
};

/* -EINVAL with *why set for what is none; -ENOMEM. */
int endpoint_parse(const char *text, struct endpoint *out,
		   char why[static 256]);
void endpoint_fini(struct endpoint *e);

#endif
