/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs.c - which driver a URL means
 */
#include "ufs/ufs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "ufs/error.h"

static const struct {
	const char *scheme;
	int (*open)(const struct ufs_conf *conf, struct ufs **out,
		    char why[static 256]);
} drivers[] = {
	{ "s3", ufs_s3_open },
	{ "file", ufs_file_open },
};

static _Thread_local char last_error[256];

const char *ufs_last_error(void)
{
	return last_error;
}

void ufs_set_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, args);
	va_end(args);
}

int ufs_open(const struct ufs_conf *conf, struct ufs **out,
	     char why[static 256])
{
	const char *end = strstr(conf->url, "://");

	for (size_t i = 0; i < ARRAY_SIZE(drivers) && end != NULL; i++)
		if (str_eq((struct str){ conf->url, (size_t)(end - conf->url) },
			   str_of(drivers[i].scheme)))
			return drivers[i].open(conf, out, why);
	snprintf(why, 256,
		 "%s is no source: use s3://BUCKET[/PREFIX] or file:///DIR",
		 conf->url);
	return -EINVAL;
}

void ufs_close(struct ufs *u)
{
	if (u != NULL)
		u->ops->close(u);
}
