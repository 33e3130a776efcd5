/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_members_etcd_real.c - the same with the etcd of the distribution
 *
 * One node on loopback in a directory of its own. Skipped, with the reason,
 * where etcd (or openssl, for the certificates) is not installed.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "ring/etcd.h"
#include "tests/unit/members_rig.h"
#include "tests/unit/run.h"

static struct {
	char dir[64];
	int port, peer_port;
	bool tls;
	pid_t pid;
} node;

static struct members *m;
static struct members_join *joins[2];
static char why[256], workers[160];

static bool installed(const char *program)
{
	char line[64];

	snprintf(line, sizeof(line), "command -v %s >/dev/null 2>&1", program);
	return system(line) == 0;
}

/* A port that nobody had a moment ago. */
static int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void node_exec(void)
{
	char url[64], peer[64], cluster[96], data[96], cert[96], key[96];
	const char *argv[24];
	int n = 0, null = open("/dev/null", O_RDWR);

	snprintf(url, sizeof(url), "%s://127.0.0.1:%d",
		 node.tls ? "https" : "http", node.port);
	snprintf(peer, sizeof(peer), "http://127.0.0.1:%d", node.peer_port);
	snprintf(cluster, sizeof(cluster), "default=%s", peer);
	snprintf(data, sizeof(data), "%s/data", node.dir);
	snprintf(cert, sizeof(cert), "%s/cert.pem", node.dir);
	snprintf(key, sizeof(key), "%s/key.pem", node.dir);
	argv[n++] = "etcd";
	argv[n++] = "--data-dir";
	argv[n++] = data;
	argv[n++] = "--listen-client-urls";
	argv[n++] = url;
	argv[n++] = "--advertise-client-urls";
	argv[n++] = url;
	argv[n++] = "--listen-peer-urls";
	argv[n++] = peer;
	argv[n++] = "--initial-advertise-peer-urls";
	argv[n++] = peer;
	argv[n++] = "--initial-cluster";
	argv[n++] = cluster;
	if (node.tls) {
		argv[n++] = "--cert-file";
		argv[n++] = cert;
		argv[n++] = "--key-file";
		argv[n++] = key;
	}
	argv[n] = NULL;
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	/* A test that is killed takes its etcd with it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void node_run(void)
{
	node.pid = fork();
	ck_assert_int_ge(node.pid, 0);
	if (node.pid == 0)
		node_exec();
}

static void node_end(void)
{
	if (node.pid > 0) {
		kill(node.pid, SIGKILL);
		waitpid(node.pid, NULL, 0);
	}
	node.pid = 0;
}

static json_t *no_body(void)
{
	return json_object();
}

/* Ask until it answers: it takes a while to start. */
static struct etcd *client(void)
{
	struct members_conf conf = { .workers = workers };
	int64_t deadline = clock_ns() + RIG_LONG;
	struct etcd *e;

	ck_assert_int_eq(etcd_open(&conf, workers + strlen("etcd://"), &e, why),
			 0);
	while (etcd_call(e, "cluster/member/list", no_body(), NULL, NULL, why) <
	       0) {
		ck_assert_msg(clock_ns() < deadline, "%s", why);
		usleep(50000);
	}
	return e;
}

static void ask(struct etcd *e, const char *path, json_t *body)
{
	ck_assert_msg(etcd_call(e, path, body, NULL, NULL, why) == 0, "%s: %s",
		      path, why);
}

static void fresh_environment(void)
{
	unsetenv("ETCD_USERNAME");
	unsetenv("ETCD_PASSWORD");
	unsetenv("ETCD_PASSWORD_FILE");
	unsetenv("ETCDCTL_USER");
	unsetenv("ETCDCTL_PASSWORD");
	unsetenv("ETCDCTL_CACERT");
	unsetenv("ETCDCTL_CERT");
	unsetenv("ETCDCTL_KEY");
}

static void certificates(void)
{
	char line[512];

	snprintf(line, sizeof(line),
		 "cd %s && openssl req -x509 -newkey ec -pkeyopt "
		 "ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=etcd "
		 "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem "
		 "-out cert.pem >/dev/null 2>&1",
		 node.dir);
	ck_assert_int_eq(system(line), 0);
	snprintf(line, sizeof(line), "%s/cert.pem", node.dir);
	setenv("ETCDCTL_CACERT", line, 1);
}

static void start_node(bool tls)
{
	log_open("/dev/null");
	fresh_environment();
	memset(&node, 0, sizeof(node));
	snprintf(node.dir, sizeof(node.dir), "/tmp/ring_etcd.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(node.dir));
	node.port = free_port();
	node.peer_port = free_port();
	node.tls = tls;
	snprintf(workers, sizeof(workers), "etcd://127.0.0.1:%d/tarn/test",
		 node.port);
	m = NULL;
	joins[0] = joins[1] = NULL;
	if (tls)
		certificates();
	node_run();
}

static void setup(void)
{
	start_node(false);
	etcd_close(client());
}

static void setup_tls(void)
{
	start_node(true);
	etcd_close(client());
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void teardown(void)
{
	members_leave(joins[0]);
	members_leave(joins[1]);
	members_close(m);
	node_end();
	nftw(node.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	fresh_environment();
	log_open("stderr");
}

static void open_members(void)
{
	struct members_conf conf = { .workers = workers,
				     .poll = 10 * RIG_POLL };

	ck_assert_int_eq(members_open(&conf, &m, why), 0);
}

static void join(int i, const char *name, uint64_t weight)
{
	struct members_conf conf = { .workers = workers,
				     .poll = 10 * RIG_POLL };

	ck_assert_int_eq(members_join(&conf, name, weight, &joins[i], why), 0);
}

static void leave(int i)
{
	members_leave(joins[i]);
	joins[i] = NULL;
}

static void come_and_go(void)
{
	open_members();
	join(0, "a:7070", 1);
	rig_becomes(m, "a:7070");
	join(1, "b:7070", 3);
	rig_becomes(m, "a:7070 b:7070=3");
	rig_well(m);
	leave(0);
	rig_becomes(m, "b:7070=3");
	leave(1);
	rig_becomes(m, "-");
}

START_TEST(workers_come_and_go)
{
	come_and_go();
}
END_TEST

/* The etcd is killed and comes back with what it had. */
START_TEST(an_etcd_that_restarts_loses_nobody)
{
	uint64_t epoch;

	open_members();
	join(0, "a:7070", 1);
	rig_becomes(m, "a:7070");
	epoch = members_epoch(m);
	node_end();
	rig_fails(m, "etcd at 127.0.0.1");
	node_run();
	rig_well(m);
	ck_assert_uint_eq(members_epoch(m), epoch);
	join(1, "b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
}
END_TEST

/* All data are gone: the worker is told that its lease is, and joins again. */
START_TEST(an_etcd_that_lost_all_is_filled_again)
{
	char data[96];

	open_members();
	join(0, "a:7070", 1);
	rig_becomes(m, "a:7070");
	node_end();
	snprintf(data, sizeof(data), "%s/data", node.dir);
	nftw(data, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	node_run();
	rig_well(m);
	join(1, "b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
}
END_TEST

START_TEST(a_lease_that_is_revoked_begins_anew)
{
	struct etcd *e = client();
	json_t *answer;
	const char *id;

	open_members();
	join(0, "a:7070", 1);
	rig_becomes(m, "a:7070");
	join(1, "b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
	ck_assert_int_eq(
	    etcd_call(e, "lease/leases", no_body(), &answer, NULL, why), 0);
	id = json_string_value(json_object_get(
	    json_array_get(json_object_get(answer, "leases"), 0), "ID"));
	ck_assert_ptr_nonnull(id);
	ask(e, "lease/revoke", json_pack("{ss}", "ID", id));
	json_decref(answer);
	rig_asked(m, 1);
	rig_becomes(m, "a:7070 b:7070");
	etcd_close(e);
}
END_TEST

START_TEST(a_compaction_does_no_harm)
{
	struct etcd *e = client();
	json_t *answer;
	char revision[24];

	open_members();
	join(0, "a:7070", 1);
	rig_becomes(m, "a:7070");
	ck_assert_int_eq(
	    etcd_call(e, "kv/range",
		      json_pack("{so}", "key", etcd_bytes(str_of("x"))),
		      &answer, NULL, why),
	    0);
	snprintf(revision, sizeof(revision), "%jd",
		 (intmax_t)etcd_number(json_object_get(answer, "header"),
				       "revision"));
	json_decref(answer);
	ask(e, "kv/compaction", json_pack("{ss}", "revision", revision));
	join(1, "b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
	etcd_close(e);
}
END_TEST

static void with_users(void)
{
	struct etcd *e = client();

	ask(e, "auth/user/add",
	    json_pack("{ssss}", "name", "root", "password", "rootword"));
	ask(e, "auth/role/add", json_pack("{ss}", "name", "root"));
	ask(e, "auth/user/grant",
	    json_pack("{ssss}", "user", "root", "role", "root"));
	ask(e, "auth/user/add",
	    json_pack("{ssss}", "name", "tarn", "password", "a \"word\\"));
	ask(e, "auth/role/add", json_pack("{ss}", "name", "tarn"));
	ask(e, "auth/user/grant",
	    json_pack("{ssss}", "user", "tarn", "role", "tarn"));
	ask(e, "auth/role/grant",
	    json_pack("{sss{sssoso}}", "name", "tarn", "perm", "permType",
		      "READWRITE", "key", etcd_bytes(str_of("tarn/test/")),
		      "range_end", etcd_bytes(str_of("tarn/test0"))));
	ask(e, "auth/enable", no_body());
	etcd_close(e);
}

START_TEST(a_user_sees_what_it_may)
{
	with_users();
	/* Nobody is refused, */
	open_members();
	rig_fails(m, "user name is empty");
	members_close(m);
	m = NULL;
	/* a wrong password as well, */
	setenv("ETCD_USERNAME", "tarn", 1);
	setenv("ETCD_PASSWORD", "wrong", 1);
	open_members();
	rig_fails(m, "authentication failed");
	members_close(m);
	m = NULL;
	/* and the right one is not. */
	setenv("ETCD_PASSWORD", "a \"word\\", 1);
	come_and_go();
	members_close(m);
	m = NULL;
	snprintf(workers, sizeof(workers), "etcd://127.0.0.1:%d/other",
		 node.port);
	open_members();
	rig_fails(m, "permission denied");
}
END_TEST

/* Tokens of before a restart are worth nothing: new ones are taken. */
START_TEST(a_user_survives_a_restart)
{
	with_users();
	setenv("ETCDCTL_USER", "tarn:a \"word\\", 1);
	open_members();
	join(0, "a:7070", 1);
	rig_becomes(m, "a:7070");
	node_end();
	rig_fails(m, "etcd at 127.0.0.1");
	node_run();
	rig_well(m);
	join(1, "b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
}
END_TEST

START_TEST(tls_is_spoken_and_a_stranger_is_refused)
{
	come_and_go();
	members_close(m);
	m = NULL;
	setenv("ETCDCTL_CACERT", "/etc/ssl/certs/ca-certificates.crt", 1);
	open_members();
	rig_fails(m, "SSL peer certificate");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("etcd"), *tls = tcase_create("tls");

	tcase_set_timeout(t, 180);
	tcase_set_timeout(tls, 180);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_checked_fixture(tls, setup_tls, teardown);
	if (!installed("etcd")) {
		puts("skip: etcd is not installed (package etcd-server)");
		return RUN_CASES(t, tls);
	}
	tcase_add_test(t, workers_come_and_go);
	tcase_add_test(t, an_etcd_that_restarts_loses_nobody);
	tcase_add_test(t, an_etcd_that_lost_all_is_filled_again);
	tcase_add_test(t, a_lease_that_is_revoked_begins_anew);
	tcase_add_test(t, a_compaction_does_no_harm);
	tcase_add_test(t, a_user_sees_what_it_may);
	tcase_add_test(t, a_user_survives_a_restart);
	if (installed("openssl"))
		tcase_add_test(tls, tls_is_spoken_and_a_stranger_is_refused);
	else
		puts("skip: openssl is not installed: no test of TLS");
	return RUN_CASES(t, tls);
}
