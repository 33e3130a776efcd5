/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_tls.c - mutual TLS: whom a worker shows itself to be, and believes
 *
 * The HTTP library speaks it by GnuTLS. It asks a client for a certificate,
 * but lets one pass that has none, or one of another authority: whether it was
 * signed by tls-ca is looked up here, once a connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ring/server_impl.h"

#define PEM_MAX MIB(1)

/* All of a file, a text on the heap. secret: nobody else may read it. */
static int read_pem(const char *option, const char *path, bool secret,
		    char **out, char why[static 256])
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int err = errno;

		snprintf(why, 256, "%s=%.150s: %s", option, path,
			 strerror(err));
		return -err;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)PEM_MAX ||
	    (secret && (st.st_mode & 077) != 0)) {
		snprintf(why, 256, "%s=%.150s: it must be a PEM file%s", option,
			 path,
			 secret ? " that nobody else can read: chmod 600" : "");
		return -EPERM;
	}
	text = calloc(1, (size_t)st.st_size + 1);
	if (text == NULL)
		return -ENOMEM;
	n = read(fd, text, (size_t)st.st_size);
	if (n < st.st_size) {
		explicit_bzero(text, (size_t)st.st_size);
		free(text);
		snprintf(why, 256, "%s=%.150s: cannot read it", option, path);
		return -EIO;
	}
	*out = text;
	return 0;
}

static gnutls_datum_t datum(char *text)
{
	return (gnutls_datum_t){ (unsigned char *)text,
				 (unsigned)strlen(text) };
}

/* The library only says that it does not start: find out why, first. */
static int try_them(struct server_tls *t, char why[static 256])
{
	gnutls_certificate_credentials_t all;
	int r = gnutls_certificate_allocate_credentials(&all);

	if (r < 0)
		return -ENOMEM;
	if (t->cert != NULL) {
		gnutls_datum_t cert = datum(t->cert), key = datum(t->key);

		r = gnutls_certificate_set_x509_key_mem(all, &cert, &key,
							GNUTLS_X509_FMT_PEM);
		if (r < 0)
			snprintf(why, 256, "tls-cert and tls-key: %s",
				 gnutls_strerror(r));
	}
	if (r >= 0 && t->ca != NULL) {
		gnutls_datum_t ca = datum(t->ca);

		r = gnutls_certificate_set_x509_trust_mem(all, &ca,
							  GNUTLS_X509_FMT_PEM);
		if (r == 0)
			r = GNUTLS_E_NO_CERTIFICATE_FOUND;
		if (r < 0)
			snprintf(why, 256, "tls-ca: %s", gnutls_strerror(r));
	}
	gnutls_certificate_free_credentials(all);
	return r < 0 ? -EINVAL : 0;
}

/* On failure *out may hold some of them. */
static int read_them(const struct ring_tls *files, struct server_tls *out,
		     char why[static 256])
{
	int r = 0;

	if (files->cert != NULL)
		r = read_pem("tls-cert", files->cert, false, &out->cert, why);
	if (r == 0 && files->key != NULL)
		r = read_pem("tls-key", files->key, true, &out->key, why);
	if (r == 0 && files->ca != NULL)
		r = read_pem("tls-ca", files->ca, false, &out->ca, why);
	return r == 0 ? try_them(out, why) : r;
}

static bool has_none(const struct ring_tls *files)
{
	return files->cert == NULL && files->key == NULL && files->ca == NULL;
}

int server_tls_read(const struct ring_tls *files, struct server_tls *out,
		    char why[static 256])
{
	int r;

	if (has_none(files))
		return 0;
	if (files->cert == NULL || files->key == NULL) {
		snprintf(why, 256,
			 "who serves by TLS needs both tls-cert= and "
			 "tls-key=");
		return -EINVAL;
	}
	r = read_them(files, out, why);
	if (r < 0)
		server_tls_free(out);
	return r;
}

int server_tls_check(const struct ring_tls *files, char why[static 256])
{
	struct server_tls t = { .cert = NULL };
	int r;

	if ((files->cert == NULL) != (files->key == NULL)) {
		snprintf(why, 256,
			 "who shows a certificate needs both tls-cert= and "
			 "tls-key=");
		return -EINVAL;
	}
	if (has_none(files))
		return 0;
	r = read_them(files, &t, why);
	server_tls_free(&t);
	return r;
}

void server_tls_free(struct server_tls *t)
{
	if (t->key != NULL)
		explicit_bzero(t->key, strlen(t->key));
	free(t->cert);
	free(t->key);
	free(t->ca);
	memset(t, 0, sizeof(*t));
}

/* GnuTLS compares with what the library was given as trusted. */
static bool signed_by_ca(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	gnutls_session_t session;
	unsigned status = 1, n = 0;

	if (info == NULL)
		return false;
	session = info->tls_session;
	return gnutls_certificate_get_peers(session, &n) != NULL && n > 0 &&
	       gnutls_certificate_verify_peers2(session, &status) == 0 &&
	       status == 0;
}

bool server_tls_knows(const struct server *s, struct conn *conn,
		      struct MHD_Connection *c)
{
	if (s->tls.ca == NULL)
		return true;
	if (conn == NULL)
		return false;
	if (!conn->known)
		conn->known = signed_by_ca(c);
	return conn->known;
}
