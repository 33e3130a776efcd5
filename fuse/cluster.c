/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster.c - what all members of a cluster agree on
 */
#include "fuse/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "ring/auth.h"

char *cluster_bucket(const char *source, const char *store_id)
{
	const char *rest = strstr(source, "://");
	const char *slash;

	rest = rest != NULL ? rest + 3 : source;
	if (strncmp(source, "file:", 5) != 0)
		return str_dup((struct str){ rest, strcspn(rest, "/") });
	if (store_id != NULL)
		return strdup(store_id);
	slash = strrchr(rest, '/');
	return strdup(slash != NULL ? slash + 1 : rest);
}

int cluster_key_read(const char *path, char **out, char why[static WHY_MAX])
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char line[AUTH_SECRET_MAX + 3] = "";
	struct stat st;
	ssize_t n;
	int r = 0;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		snprintf(why, WHY_MAX, "cluster-key-file=%.200s: %s", path,
			 strerror(-r));
		return r;
	}
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0177) != 0 ||
	    (st.st_uid != geteuid() && st.st_uid != 0)) {
		snprintf(why, WHY_MAX,
			 "cluster-key-file=%.200s: it must be a file of yours "
			 "that nobody else can read: chmod 600",
			 path);
		return -EPERM;
	}
	n = read(fd, line, sizeof(line) - 1);
	if (n > 0 && line[n - 1] == '\n')
		line[--n] = '\0';
	if (n > 0 && line[n - 1] == '\r')
		line[--n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		if (line[i] <= ' ' || line[i] > '~')
			n = 0;
	if (n < AUTH_SECRET_MIN || n > AUTH_SECRET_MAX) {
		snprintf(why, WHY_MAX,
			 "cluster-key-file=%.200s: it must hold one line of "
			 "%d to %d printable characters without spaces, as "
			 "`openssl rand -hex 32` prints",
			 path, AUTH_SECRET_MIN, AUTH_SECRET_MAX);
		r = -EINVAL;
	} else {
		*out = strdup(line);
		r = *out != NULL ? 0 : -ENOMEM;
	}
	explicit_bzero(line, sizeof(line));
	return r;
}

void cluster_key_free(char *key)
{
	if (key != NULL)
		explicit_bzero(key, strlen(key));
	free(key);
}

struct ring_tls cluster_tls(const struct options *o)
{
	return (struct ring_tls){ .ca = options_text(o, OPT_TLS_CA),
				  .cert = options_text(o, OPT_TLS_CERT),
				  .key = options_text(o, OPT_TLS_KEY) };
}
