# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# lib.sh - what every mount test uses: `. "$(dirname "$0")/../lib.sh"`
#
# A test gets its own directory $W (cache, mount points, sockets, logs, home),
# ports that the kernel picked, and stores that it starts itself; whatever it
# leaves mounted or running is taken down when it ends. It passes by reaching
# its end, fails by any command that fails (set -e), and is skipped with a
# reason by `skip REASON` (exit 77).
#
# STORE_KIND (file, objsim, versitygw, minio) is set by scripts/mount-tests
# for tests with a line `# stores: ...`; start_store starts that one.
set -eu
umask 022
export LC_ALL=C.UTF-8

ROOT=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-$ROOT/build/plain}
case $BUILD in /*) ;; *) BUILD=$ROOT/$BUILD ;; esac
TARN=$BUILD/tarn
TOOLS=$BUILD/tests/tools
export SHIMS="$BUILD/tests/shims"
HELPERS=$ROOT/tests/python
W=${TEST_DIR:-$(mktemp -d "${TMPDIR:-/tmp}/tarn-test.XXXXXX")}
MNT=$W/mnt
CACHE=$W/cache
# What the tests plant as keys; no output may ever hold the secret.
export AWS_ACCESS_KEY_ID=tarn AWS_SECRET_ACCESS_KEY=tarnsecret
# The secret of a ring; no output may ever hold it either.
export CLUSTER_KEY=0123456789abcdef0123456789abcdefcluster
# What a request without a body says of it.
EMPTY_SHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
export AWS_EC2_METADATA_DISABLED=true AWS_REGION=us-east-1
export HOME="$W/home" XDG_RUNTIME_DIR="$W/run" XDG_CONFIG_HOME="$W/config"
export XDG_CACHE_HOME="$W/xdg-cache" XDG_STATE_HOME="$W/state"
# Where root's would be is no place for a test's files.
export TARN_STAGING_DIR="$W/staging"
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL AWS_CA_BUNDLE
unset AWS_WEB_IDENTITY_TOKEN_FILE AWS_ROLE_ARN AWS_CONFIG_FILE
unset AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_SHARED_CREDENTIALS_FILE
unset AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_AUTHORIZATION_TOKEN
unset AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

skip() {
	echo "skip: $*" >&2
	exit 77
}

# A sanitized build (BUILD=build/address-undefined) tells into these files.
sanitizers=log_path=$W/san:exitcode=66
export ASAN_OPTIONS="$sanitizers:verify_asan_link_order=0"
export UBSAN_OPTIONS="$sanitizers:print_stacktrace=1"
export TSAN_OPTIONS="$sanitizers" LSAN_OPTIONS="$sanitizers"

# ---- what is undone at the end -----------------------------------------

AT_EXIT=
at_exit() { # COMMAND: run at the end, the last one first
	AT_EXIT="$*
$AT_EXIT"
}

# Mounts below $W, the innermost first.
mounts_here() {
	awk -v w="$W/" 'index($2, w) == 1 { print $2 }' /proc/self/mounts |
		sort -r
}

# Processes that name $W in their arguments: daemons that left the shell.
processes_here() {
	# The list is made before grep, which names $W too, is there.
	set -- /proc/[0-9]*/cmdline
	grep -lsaF -- "$W" "$@" | tr -dc '0-9\n' | grep -vx $$
	return 0
}

cleanup() {
	rc=$?
	trap - EXIT INT TERM HUP
	set +e
	eval "$AT_EXIT"
	for m in $(mounts_here); do
		umount -l "$m" 2>/dev/null || fusermount3 -uz "$m"
	done
	# A daemon whose mount is gone ends by itself.
	n=0
	while [ -n "$(processes_here)" ] && [ $n -lt 100 ]; do
		sleep 0.1
		n=$((n + 1))
	done
	for p in $(processes_here); do
		echo "left running: $(tr '\0' ' ' <"/proc/$p/cmdline")" >&2
		[ $rc -ne 0 ] || rc=1
		kill -9 "$p" 2>/dev/null
	done
	for f in "$W"/san.*; do
		[ -s "$f" ] || continue
		head -n 60 "$f" >&2
		rc=1
	done
	if [ $rc -ne 0 ] && [ $rc -ne 77 ]; then
		for f in "$W"/*.log; do
			[ ! -s "$f" ] || { echo "--- ${f##*/}"; tail -n 30 "$f"; } >&2
		done
	fi
	[ -n "${KEEP-}" ] || rm -rf "$W"
	exit $rc
}
trap cleanup EXIT
trap 'exit 143' INT TERM HUP

mkdir -p "$HOME" "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME" "$MNT" "$CACHE"
chmod 700 "$XDG_RUNTIME_DIR" "$CACHE"

# ---- asking and waiting --------------------------------------------------

expect_eq() { # GOT WANTED [WHAT]
	[ "$1" = "$2" ] || fail "${3:-value}: got '$1', wanted '$2'"
}

expect_ge() { # GOT LEAST [WHAT]
	[ "$1" -ge "$2" ] || fail "${3:-value}: got $1, wanted at least $2"
}

expect_le() { # GOT MOST [WHAT]
	[ "$1" -le "$2" ] || fail "${3:-value}: got $1, wanted at most $2"
}

wait_for() { # SECONDS COMMAND...: until it succeeds, else the test fails
	wait_until=$(($(date +%s) + $1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt $wait_until ] || fail "never came true: $*"
		sleep 0.05
	done
}

# Run a command that has to fail with this errno (its name), by its message.
expect_errno() { # ENAME COMMAND...
	want=$1
	shift
	case $want in
	EACCES) text='Permission denied' ;;
	EHOSTUNREACH) text='No route to host' ;;
	EIO) text='Input/output error' ;;
	ENOENT) text='No such file or directory' ;;
	EROFS) text='Read-only file system' ;;
	ESTALE) text='Stale file handle' ;;
	ETIMEDOUT) text='Connection timed out' ;;
	*) fail "expect_errno does not know $want" ;;
	esac
	if "$@" >"$W/errno.out" 2>&1; then
		fail "succeeded instead of $want: $*"
	fi
	grep -qF "$text" "$W/errno.out" ||
		fail "wanted $want from '$*', got: $(tail -n 1 "$W/errno.out")"
}

sha() { # FILE...: their bytes' hash
	cat "$@" | sha256sum | cut -d' ' -f1
}

json() { # FILE PYTHON-EXPRESSION of j
	python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$1" "$2"
}

# ---- what a test needs ---------------------------------------------------

need_fuse() {
	[ -e /dev/fuse ] || skip "no /dev/fuse"
	[ "$(id -u)" = 0 ] || command -v fusermount3 >/dev/null ||
		skip "neither root nor fusermount3"
	[ -x "$TARN" ] || fail "no $TARN: run make"
}

need_root() { # FOR-WHAT
	[ "$(id -u)" = 0 ] || skip "needs root for $1"
}

need_command() { # NAME...
	for c in "$@"; do
		command -v "$c" >/dev/null || skip "no $c"
	done
}

# Run the whole test again in a network namespace of its own, with loopback;
# with --mount also with mounts of its own.
own_network() { # [--mount]
	need_root "a network namespace"
	need_command unshare ip
	if [ -z "${IN_OWN_NETWORK-}" ]; then
		unshare --net "$@" true 2>/dev/null || skip "no namespaces"
		trap - EXIT
		IN_OWN_NETWORK=1 TEST_DIR=$W exec unshare --net "$@" sh "$0"
	fi
	ip link set lo up
}

# Run the whole test again with mounts of its own.
own_mounts() {
	need_root "mounts of its own"
	[ -z "${IN_OWN_MOUNTS-}" ] || return 0
	unshare --mount true 2>/dev/null || skip "no mount namespaces"
	trap - EXIT
	IN_OWN_MOUNTS=1 TEST_DIR=$W exec unshare --mount sh "$0"
}

# The same, with a /dev/fuse that every user may open, as distributions have it.
open_dev_fuse() {
	own_mounts
	mknod -m 666 "$W/fuse" c 10 229 || skip "no device nodes"
	mount --bind "$W/fuse" /dev/fuse
}

# Run a command as another user, without any of root's rights.
as_user() { # UID COMMAND...
	as=$1
	shift
	setpriv --reuid "$as" --regid "$as" --clear-groups --inh-caps=-all "$@"
}

# A cgroup for daemons that mount_tarn starts from here on. Sets group, its
# directory, and group_version: 1 and 2 name some of its files differently.
# shellcheck disable=SC2034 # group_version is for the test
own_cgroup() { # CONTROLLER
	need_root "a cgroup"
	top=/sys/fs/cgroup
	group='' group_version=2
	for d in $top $top/unified; do
		grep -qw "$1" "$d/cgroup.controllers" 2>"$W/o" || continue
		echo "+$1" >"$d/cgroup.subtree_control" 2>"$W/o" || true
		group=$d/tarn-test-$$
	done
	if [ -z "$group" ] && [ -f "$top/$1/cgroup.procs" ]; then
		group=$top/$1/tarn-test-$$ group_version=1
	fi
	[ -n "$group" ] || skip "no $1 controller"
	mkdir "$group" || skip "cannot make a cgroup"
	# Once the daemon has left it.
	at_exit "umount -l $MNT 2>$W/o; timeout 20 sh -c 'until rmdir $group; do sleep 0.1; done'"
	ls "$group/$1".* >"$W/o" 2>&1 || skip "no $1 controller for a cgroup"
	printf '#!/bin/sh\necho $$ >"%s/cgroup.procs"\nexec "$@"\n' "$group" >"$W/in-group"
	chmod +x "$W/in-group"
	TARN_WRAP=$W/in-group
}

# ---- stores --------------------------------------------------------------

# A port that is free now, for servers that cannot be told to pick one.
free_port() {
	python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

run_objsim() { # ADDRESS [WRAPPER...]: sets sim_pid, sim_port
	mkfifo "$W/sim.in"
	sim_address=$1
	shift
	"$@" "$TOOLS/objsim" -a "$sim_address" <"$W/sim.in" >"$W/sim.port" \
		2>"$W/sim.log" &
	sim_pid=$!
	exec 9>"$W/sim.in"
	at_exit 'exec 9>&-'
	wait_for 10 test -s "$W/sim.port"
	sim_port=$(cat "$W/sim.port")
}

start_objsim() { # sets SIM (its URL); ends when this shell does
	run_objsim 127.0.0.1
	SIM=http://127.0.0.1:$sim_port
}

# The same in a network namespace of its own (own_network was called), behind
# a cable that `sim_cable down` unplugs: neither side hears more than silence.
start_far_objsim() {
	run_objsim 0.0.0.0 unshare --net
	ip link add near type veth peer name far netns "$sim_pid" ||
		skip "no veth"
	ip addr add 192.0.2.1/24 dev near
	ip link set near up
	nsenter --net -t "$sim_pid" ip addr add 192.0.2.2/24 dev far
	sim_cable up
	SIM=http://192.0.2.2:$sim_port
}

sim_cable() { # up or down
	nsenter --net -t "$sim_pid" ip link set far "$1"
}

sim() { # COMMAND[?QUERY] [BODY]: POST when there is a body (may be empty)
	if [ $# -gt 1 ]; then
		curl -fsS --max-time 60 --data-binary "$2" "$SIM/_sim/$1"
	else
		curl -fsS --max-time 60 "$SIM/_sim/$1"
	fi
}

sim_put() { # KEY(percent-encoded) [QUERY] [FILE]
	curl -fsS --max-time 60 -X POST -H 'Expect:' \
		--data-binary "${3+@}${3-}" \
		"$SIM/_sim/put?bucket=bucket&key=$1${2:+&$2}"
}

# sim_put_files PREFIX FIRST LAST SIZE STEP: of SIZE + number * STEP bytes,
# their number being the seed.
sim_put_files() {
	sim_n=$2
	while [ "$sim_n" -le "$3" ]; do
		echo "url = \"$SIM/_sim/put?bucket=bucket&key=$1$sim_n&size=$(($4 + sim_n * $5))&seed=$sim_n\""
		echo "data = \"\""
		echo "output = \"$W/o\""
		sim_n=$((sim_n + 1))
	done >"$W/put"
	curl -fsS --max-time 300 -K "$W/put"
}

# sim_sums PREFIX FIRST LAST: as sha256sum says them, by their last names.
sim_sums() {
	sim_n=$2
	while [ "$sim_n" -le "$3" ]; do
		echo "$(sim_sha "$1$sim_n")  ${1##*/}$sim_n"
		sim_n=$((sim_n + 1))
	done
}

sim_rule() { # JSON
	sim rules "$1"
}

sim_fired() { # [NAME]
	sim "fired${1:+?rule=$1}"
}

expect_fired() { # NAME [LEAST]
	expect_ge "$(sim_fired "$1")" "${2:-1}" "times that '$1' fired"
}

sim_sha() { # KEY: hash of the bytes that the store holds
	curl -fsS "$SIM/_sim/get?bucket=bucket&key=$1" | sha256sum | cut -d' ' -f1
}

# The answers to GETs of a small and of a large object are spoilt by a rule with
# these members. Once: the next try is right. Each time: the read fails, after
# right bytes at most. Nothing wrong is kept.
# REFUSED_SIZES: of the files, when not one small and one large.
expect_refused() { # NAME RULE-MEMBERS [WHEN: once, each or, by default, both]
	for size in ${REFUSED_SIZES:-900000 9000000}; do
		for times in ${3:-once each}; do
			key=$1-$size-$times
			sim_put "$key" "size=$size&seed=$size" >"$W/o"
			[ "$times" = each ] && limit='' || limit='"count":1,'
			# From a file: a rule may be too long for an argument.
			printf '%s' '{"op":"GET","name":"'"$key"'","key":"'"$key"'",' \
				"$limit$2}" >"$W/rule"
			sim rules "@$W/rule"
			"refused_$times"
			expect_eq "$(sha "$MNT/$key")" "$(sim_sha "$key")" "$key, after it"
		done
	done
}

refused_once() {
	expect_eq "$(sha "$MNT/$key")" "$(sim_sha "$key")" "$key"
	expect_fired "$key"
}

refused_each() {
	if cat "$MNT/$key" >"$W/out" 2>"$W/err"; then
		fail "$key: read in spite of it"
	fi
	grep -qE 'Input/output|timed out' "$W/err" || fail "$key: $(cat "$W/err")"
	expect_fired "$key"
	sim "clear?rule=$key" ''
	cmp -n "$(stat -c %s "$W/out")" "$W/out" "$MNT/$key"
}

# The places that hand out keys: STS and the rest; see tests/python/awssim.py.
start_awssim() { # [HOST [PORT]]: sets AWSSIM (its URL); ends with this shell
	mkfifo "$W/aws.in"
	python3 "$HELPERS/awssim.py" "$@" <"$W/aws.in" >"$W/aws.port" \
		2>"$W/aws.log" 9>&- &
	exec 8>"$W/aws.in"
	wait_for 20 test -s "$W/aws.port"
	AWSSIM=http://${1:-127.0.0.1}:$(cat "$W/aws.port")
	at_exit 'exec 8>&-'
}

aws_set() { # NAME=VALUE...: how it behaves from now on
	for a in "$@"; do
		set -- "$@" --data-urlencode "$a"
		shift
	done
	curl -fsS --max-time 60 -X POST -G "$@" "$AWSSIM/_aws/set"
}

aws_count() { # grants | calls[?of=sts]
	curl -fsS --max-time 60 "$AWSSIM/_aws/$1"
}

start_versitygw() { # sets S3 (its URL) and S3_LOG
	need_command versitygw
	mkdir -p "$W/vgw/data" "$W/vgw/versions"
	S3_LOG=$W/vgw/access
	: >"$S3_LOG"
	s3_port=$(free_port)
	ROOT_ACCESS_KEY=tarn ROOT_SECRET_KEY=tarnsecret versitygw \
		--port "127.0.0.1:$s3_port" --keep-alive --quiet \
		--health /health --access-log "$S3_LOG" posix \
		--versioning-dir "$W/vgw/versions" "$W/vgw/data" \
		>"$W/vgw.log" 2>&1 &
	at_exit "kill $!"
	S3=http://127.0.0.1:$s3_port
	wait_for 20 curl -fs -o /dev/null "$S3/health"
}

start_minio() {
	need_command minio
	s3_port=$(free_port)
	mkdir -p "$W/minio"
	MINIO_ROOT_USER=tarn MINIO_ROOT_PASSWORD=tarnsecret \
		MINIO_BROWSER=off MINIO_UPDATE=off minio server --quiet \
		--address "127.0.0.1:$s3_port" "$W/minio" \
		>"$W/minio.log" 2>&1 &
	at_exit "kill $!"
	S3=http://127.0.0.1:$s3_port
	S3_LOG=
	wait_for 30 curl -fs -o /dev/null "$S3/minio/health/live"
}

start_moto() {
	need_command moto_server
	s3_port=$(free_port)
	# The directory in its arguments names whose it is.
	(cd "$W" && exec moto_server -H 127.0.0.1 -p "$s3_port") \
		>"$W/moto.log" 2>&1 &
	at_exit "kill $!"
	S3=http://127.0.0.1:$s3_port
	S3_LOG=
	wait_for 30 curl -fs -o /dev/null "$S3/moto-api/"
}

s3() { # COMMAND...: see tests/python/s3.py
	python3 "$HELPERS/s3.py" "$S3" bucket "$@"
}

# Somebody asks the store for KEY all the time, until stop_watch: each time it
# is there, and one of these files. KEY:NEW: while it moves.
start_watch() { # KEY FILE...
	: >"$W/watched"
	python3 "$HELPERS/watch.py" "$S3" bucket "$@" >"$W/watched" 2>&1 &
	watcher=$!
	wait_for 20 test -s "$W/watched"
}

stop_watch() {
	kill -TERM "$watcher"
	wait "$watcher" || fail "asked for it: $(tail -n 1 "$W/watched")"
}

# The store of STORE_KIND: sets SOURCE and STORE_OPTS for mount_tarn.
start_store() {
	case ${STORE_KIND:=objsim} in
	file)
		mkdir -p "$W/store"
		SOURCE=file://$W/store STORE_OPTS=
		return
		;;
	objsim)
		start_objsim
		sim 'bucket?name=bucket' ''
		S3=$SIM S3_LOG=
		;;
	versitygw) start_versitygw && s3 make ;;
	minio) start_minio && s3 make ;;
	moto) start_moto && s3 make ;;
	*) fail "no store $STORE_KIND" ;;
	esac
	SOURCE=s3://bucket STORE_OPTS=endpoint=$S3,path-style=on
}

store_put_tree() { # DIR: every file below it becomes an object
	case $STORE_KIND in
	file) cp -r "$1/." "$W/store/" ;;
	*) s3 put-tree "$1" ;;
	esac
}

store_put() { # KEY FILE
	case $STORE_KIND in
	file)
		mkdir -p "$(dirname "$W/store/$1")"
		cp "$2" "$W/store/.new" && mv "$W/store/.new" "$W/store/$1"
		;;
	*) s3 put "$1" "$2" ;;
	esac
}

store_delete() { # KEY
	case $STORE_KIND in
	file) rm -f "$W/store/$1" ;;
	*) s3 delete "$1" ;;
	esac
}

# Requests so far: GET, HEAD, LIST. By the store where it can tell, else by
# the mount's own counters.
store_count() { # OP [KEY-GLOB, objsim only]
	case $STORE_KIND in
	objsim) sim "count?op=$1${2:+&key=$2}" ;;
	versitygw)
		case $1 in
		GET) op=s3_GetObject ;;
		HEAD) op=s3_HeadObject ;;
		*) op=s3_ListObjects ;;
		esac
		grep -c "$op" "$S3_LOG" || true
		;;
	*) mount_stat "$MNT" "m['store']['$(echo "$1" | tr '[:upper:]' '[:lower:]')']" ;;
	esac
}

# An etcd of one node; sets ETCD (its HOST:PORT).
start_etcd() {
	need_command etcd
	ETCD=127.0.0.1:$(free_port)
	etcd_peers=http://127.0.0.1:$(free_port)
	run_etcd
}

run_etcd() { # once more, where it was and on what it had; sets etcd_pid
	# On other machines than amd64 it starts only when told so.
	ETCD_UNSUPPORTED_ARCH=$(uname -m | sed 's/aarch64/arm64/') etcd \
		--data-dir "$W/etcd" --listen-client-urls "http://$ETCD" \
		--advertise-client-urls "http://$ETCD" \
		--listen-peer-urls "$etcd_peers" \
		--initial-advertise-peer-urls "$etcd_peers" \
		--initial-cluster "default=$etcd_peers" \
		>>"$W/etcd.log" 2>&1 8>&- 9>&- &
	etcd_pid=$!
	at_exit "kill $etcd_pid 2>$W/o"
	wait_for 30 etcd_answers
}

etcd_answers() {
	curl -fsS --max-time 5 "http://$ETCD/health" >"$W/o" 2>&1
}

# ---- mounts --------------------------------------------------------------

# mount_tarn [-n NAME] [OPTION,...]: $SOURCE on $W/NAME (mnt), with the store's
# options, this test's cache and staging, and a log of that name.
mount_tarn() {
	mount_name=mnt
	if [ "${1-}" = -n ]; then
		mount_name=$2
		shift 2
	fi
	# Of a dead mount, which this one is to remove, mkdir knows nothing.
	mkdir -p "$W/$mount_name" 2>"$W/o" || true
	# shellcheck disable=SC2086 # TARN_WRAP is words
	${TARN_WRAP-} "$TARN" mount "$SOURCE" "$W/$mount_name" \
		-o "cache-dir=${CACHE_DIR:-$CACHE},staging-dir=${STAGING_DIR:-$W/staging},log=$W/$mount_name.log,log-level=debug${STORE_OPTS:+,$STORE_OPTS}${1:+,$1}" \
		>"$W/$mount_name.out" 2>&1 8>&- 9>&- ||
		fail "mount: $(cat "$W/$mount_name.out")"
}

# ---- workers -------------------------------------------------------------

# start_worker [-n NAME] [OPTION,...]: $SOURCE, served from the cache $W/NAME
# (worker) to whoever has the key in $W/cluster.key, at WORKER_LISTEN or a port
# that is free. Sets WORKER (its URL).
start_worker() {
	worker_name=worker
	if [ "${1-}" = -n ]; then
		worker_name=$2
		shift 2
	fi
	mkdir -p "$W/$worker_name"
	chmod 700 "$W/$worker_name"
	make_cluster_key
	# shellcheck disable=SC2086 # TARN_WRAP is words
	${TARN_WRAP-} "$TARN" worker "$SOURCE" \
		-o "listen=${WORKER_LISTEN:-127.0.0.1:0},cluster-key-file=$W/cluster.key,cache-dir=$W/$worker_name,log=$W/$worker_name.log,log-level=debug${STORE_OPTS:+,$STORE_OPTS}${1:+,$1}" \
		>"$W/$worker_name.out" 2>&1 8>&- 9>&- ||
		fail "worker: $(cat "$W/$worker_name.out")"
	WORKER=http://$(sed -n 's/^  listen *//p' "$W/$worker_name.out")
	at_exit "stop_worker $worker_name"
}

# start_liar NAME WORKER-URL: a proxy before that worker, see
# tests/python/liar.py. Sets LIAR (its host:port); `liar NAME MODE` says what it
# does, `liar_count NAME` how many objects were asked of it.
# shellcheck disable=SC2034 # LIAR is for the test
start_liar() {
	echo true >"$W/$1.mode"
	: >"$W/$1.count"
	python3 "$HELPERS/liar.py" "${2#http://}" "$W/$1.mode" "$W/$1.count" \
		"$W/$1.port" >"$W/$1.log" 2>&1 8>&- 9>&- &
	at_exit "kill $!"
	wait_for 20 test -e "$W/$1.port"
	LIAR=127.0.0.1:$(cat "$W/$1.port")
}

liar() { # NAME MODE
	echo "$2" >"$W/liar.new"
	mv "$W/liar.new" "$W/$1.mode"
}

liar_count() { # NAME
	grep -c '^GET /bucket/' "$W/$1.count" || true
}

worker_status() { # PYTHON-EXPRESSION of w, the worker's status
	curl -fsS --max-time 60 "$WORKER/-/status" >"$W/status.json" ||
		fail "no status of the worker"
	json "$W/status.json" "[$1 for w in [j['worker']]][0]"
}

worker_pid() { # [NAME]: found by its cache directory
	for p in $(processes_here); do
		if tr '\0\n' '  ' <"/proc/$p/cmdline" |
			LC_ALL=C grep -qa "worker.*cache-dir=$W/${1:-worker},"; then
			echo "$p"
		fi
	done
}

# A store that workers in other network namespaces can reach (own_network was
# called): objsim, all of whose ways lead to 192.0.2.1.
start_near_objsim() {
	ip addr add 192.0.2.1/32 dev lo
	run_objsim 0.0.0.0
	SIM=http://192.0.2.1:$sim_port
	sim 'bucket?name=bucket' ''
	SOURCE=s3://bucket STORE_OPTS=endpoint=$SIM,path-style=on
}

# start_far_worker N [OPTION,...]: the worker wN in a network namespace of its
# own, at 10.99.N.2:7070. Once more: in the one it had. Ends by kill -9.
start_far_worker() {
	far_n=$1
	if [ ! -e "$W/net$far_n" ]; then
		# It holds the namespace, and waits for who never comes. It names
		# $W: should this shell be killed, others find it.
		mkfifo "$W/net$far_n.in"
		# shellcheck disable=SC2016 # its own
		unshare --net sh -c 'echo $$ >"$0"; read -r _ <"$0.in"' \
			"$W/net$far_n" 8>&- 9>&- &
		wait_for 10 test -s "$W/net$far_n"
		at_exit "kill -9 $(cat "$W/net$far_n")"
		ip link add "near$far_n" type veth peer name far \
			netns "$(cat "$W/net$far_n")" || skip "no veth"
		ip addr add "10.99.$far_n.1/24" dev "near$far_n"
		ip link set "near$far_n" up
		in_far "$far_n" ip link set lo up
		in_far "$far_n" ip addr add "10.99.$far_n.2/24" dev far
		far_cable "$far_n" up
	fi
	WORKER_LISTEN=10.99.$far_n.2:7070 TARN_WRAP="nsenter --net -t $(cat "$W/net$far_n")" \
		start_worker -n "w$far_n" "${2-}"
	at_exit "kill_worker w$far_n"
}

in_far() { # N COMMAND...: in the network namespace of worker wN
	far_pid=$(cat "$W/net$1")
	shift
	nsenter --net -t "$far_pid" "$@"
}

# Unplugged, neither side hears more than silence.
far_cable() { # N up|down
	in_far "$1" ip link set far "$2"
	[ "$2" = down ] || in_far "$1" ip route replace default via "10.99.$1.1"
}

kill_worker() { # NAME: kill -9, and wait for its end
	worker_gone=$(worker_pid "$1")
	[ -n "$worker_gone" ] || return 0
	kill -9 "$worker_gone"
	wait_for 20 no_process "$worker_gone"
}

ring_state() { # MOUNT NAME: what that mount thinks of that worker
	mount_stat "$W/$1" "[w['state'] for w in m['ring']['workers'] if w['name'] == '$2'][0]"
}

counter() { # MOUNT NAME
	mount_stat "$W/$1" "m['counters']['$2']"
}

no_errors() { # MOUNT...: nothing that an operator has to look at was logged
	for n in "$@"; do
		! grep ' err ' "$W/$n.log" || fail "errors in the log of $n"
	done
}

make_cluster_key() { # in $W/cluster.key
	if [ ! -e "$W/cluster.key" ]; then
		(umask 077 && echo "$CLUSTER_KEY" >"$W/cluster.key")
	fi
}

stop_worker() { # [NAME]: SIGTERM, and wait for its end
	worker_gone=$(worker_pid "${1:-worker}")
	[ -n "$worker_gone" ] || return 0
	kill "$worker_gone"
	wait_for 70 no_process "$worker_gone"
}

# A request of the worker, signed. -D FILE and the like: as curl has them.
worker_curl() { # PATH [CURL-ARGUMENT...]
	worker_path=$1
	shift
	curl -sS --max-time 60 --aws-sigv4 aws:amz:us-east-1:s3 \
		--user "tarn:$CLUSTER_KEY" \
		-H "x-amz-content-sha256: $EMPTY_SHA256" \
		"$@" "$WORKER$worker_path"
}

worker_code() { # PATH [CURL-ARGUMENT...]: the answer's status
	worker_curl "$@" -o "$W/answer" -w '%{http_code}'
}

worker_post() { # PATH BODY: the answer's status
	curl -sS --max-time 60 --aws-sigv4 aws:amz:us-east-1:s3 \
		--user "tarn:$CLUSTER_KEY" -o "$W/answer" -w '%{http_code}' \
		-H "x-amz-content-sha256: $(printf '%s' "$2" | sha256sum | cut -d' ' -f1)" \
		--data-binary "$2" "$WORKER$1"
}

# A Python that has these modules. Sets CLIENTS_PYTHON, or skips.
need_clients() { # MODULE...
	for CLIENTS_PYTHON in s3-clients-python python3; do
		if command -v $CLIENTS_PYTHON >/dev/null &&
			$CLIENTS_PYTHON -c "import $(echo "$*" | tr ' ' ,)" 2>"$W/o"; then
			return 0
		fi
	done
	skip "no Python with $*"
}

# ---- the page at /-/ -----------------------------------------------------

need_browser() {
	python3 -c 'import sys
sys.path.insert(0, sys.argv[1])
import browser
sys.exit(browser.program() is None)' "$HELPERS" || skip "no Chromium"
}

# A mount's socket, reached by TCP. Sets CONTROL (its URL).
# shellcheck disable=SC2034 # CONTROL is for the test
forward_control() { # NAME
	control_port=$(free_port)
	python3 "$HELPERS/forward.py" 127.0.0.1 "$control_port" \
		"$(control_socket "$1")" "$W/forward.ready" 8>&- 9>&- &
	at_exit "kill $!"
	wait_for 20 test -e "$W/forward.ready"
	CONTROL=http://127.0.0.1:$control_port
}

control_socket() { # [NAME]
	find /run/tarn "$XDG_RUNTIME_DIR" \
		-name "$(mount_pid "${1:-mnt}")-*.sock" 2>/dev/null || true
}

# See tests/python/page.py.
check_page() { # URL READ STOP [SHOWS...]
	page_url=$1
	shift
	mkdir -p "$W/page"
	python3 "$HELPERS/page.py" "$page_url" "$W/page" "$@" \
		2>"$W/page.err" 8>&- 9>&- || fail "$(tail -n 3 "$W/page.err")"
}

# What such a client (of clients.py) sees of the worker is the tree $W/src.
read_by_client() { # NAME
	AWS_SECRET_ACCESS_KEY=$CLUSTER_KEY $CLIENTS_PYTHON \
		"$HELPERS/clients.py" "$1" "$WORKER" bucket "$W/src"
}

# A tree with directories and names that are to be encoded, in $W/src.
make_small_tree() {
	mkdir -p "$W/src/d/e f"
	make_file "$W/src/d/a" 200000
	make_file "$W/src/d/e f/x+y" 100
	make_file "$W/src/top" 9000000
}

umount_tarn() { # [NAME]: and wait for its daemon to end
	umount_pid=$(mount_pid "${1:-mnt}")
	"$TARN" umount "$W/${1:-mnt}" ||
		fail "umount of ${1:-mnt}"
	wait_for 20 no_process "$umount_pid"
}

no_process() { # PID: gone, or only waits to be reaped
	! kill -0 "$1" 2>/dev/null ||
		grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}

mount_status() { # [NAME]: status as JSON into $W/status.json
	"$TARN" status --json "$W/${1:-mnt}" >"$W/status.json" ||
		fail "no status of ${1:-mnt}"
}

mount_stat() { # DIR PYTHON-EXPRESSION of m, that mount's status
	"$TARN" status --json "$1" >"$W/status.json" || fail "no status of $1"
	json "$W/status.json" "[$2 for m in j['mounts']][0]"
}

mount_pid() { # [NAME]
	mount_stat "$W/${1:-mnt}" "m['pid']"
}

# Have the SSD of mnt scrubbed.
begin_scrub() {
	curl -fsS --unix-socket "$(control_socket)" -d '{}' http://tarn/-/scrub \
		>/dev/null
}

# Have it scrubbed, and wait for the end of the pass.
scrub_now() {
	scrub_before=$(scrub_passes)
	begin_scrub
	wait_for 60 scrub_passed
}

scrub_passes() {
	mount_stat "$MNT" "sum(d['scrub']['passes'] for d in m['ssd'])"
}

scrub_passed() {
	[ "$(scrub_passes)" -gt "$scrub_before" ]
}

# mount_to_die POINT:N [OPTION,...]: it dies at the Nth passing of that point of
# base/crash.h. Sets pid.
mount_to_die() {
	rm -f "$W/crashed"
	TARN_CRASH_AT=$1:$W/crashed mount_tarn "$2"
	pid=$(mount_pid)
}

# It did, and there. Counts in kills.
kills=0
has_died() {
	wait_for 20 no_process "$pid"
	[ -e "$W/crashed" ] || fail "it ended elsewhere"
	kills=$((kills + 1))
}

# die_at_each OPTION,... N POINT...: at the first to the Nth passing of each of
# these; see tests/python/crashes.py. Sets kills.
die_at_each() {
	each_options=${STORE_OPTS:+$STORE_OPTS,}$1
	each_n=$2
	shift 2
	mkdir -p "$W/staging"
	kills=$(python3 "$HELPERS/crashes.py" "$W" "${SEED:-1}" "$each_n" \
		"$TARN" "$SOURCE" "$each_options" "$@" 8>&- 9>&-)
}

kill_tarn() { # [NAME]: kill -9 and clear the dead mount away
	kill_pid=$(mount_pid "${1:-mnt}")
	kill -9 "$kill_pid"
	wait_for 20 no_process "$kill_pid"
	umount -l "$W/${1:-mnt}" 2>/dev/null || fusermount3 -uz "$W/${1:-mnt}"
}

# A disk of its own for the cache: ext4 on a loop device, on $W/disk. With
# FAULTS=1 behind blkfuse, whose control file is $W/faults.
small_disk() { # MEGABYTES
	need_root "a loop device"
	need_command mkfs.ext4 losetup
	[ -e /dev/loop-control ] || skip "no loop devices"
	disk_image=${DISK_IMAGE:-$W/image}
	mkdir -p "$W/disk"
	truncate -s "$1M" "$disk_image"
	# shellcheck disable=SC2086 # words
	mkfs.ext4 -q -b 4096 -m 0 ${DISK_OPTIONS-} -E lazy_itable_init=0,lazy_journal_init=0 \
		"$disk_image"
	if [ -n "${FAULTS-}" ]; then
		mkdir -p "$W/blk"
		: >"$W/faults"
		"$TOOLS/blkfuse" "$disk_image" "$W/faults" "$W/blk"
		disk_image=$W/blk/disk
	fi
	mount -o loop "$disk_image" "$W/disk" || skip "no loop mounts"
	CACHE_DIR=$W/disk/cache
	mkdir -m 700 "$CACHE_DIR"
}

# The bytes of a cached file on its disk: "FIRST LENGTH" of the first extent.
disk_range() { # FILE
	filefrag -b4096 -v "$1" | awk '$1 == "0:" {
		print ($4 + 0) * 4096, ($6 + 0) * 4096; exit }'
}

# Files in the cache of at least that size: data, not maps.
cached_files() { # SIZE(find's)
	find "${CACHE_DIR:-$CACHE}" -type f -size "$1"
}

# Forget what the kernel keeps, so that the next read asks the daemon.
drop_caches() {
	[ "$(id -u)" != 0 ] || echo 3 >/proc/sys/vm/drop_caches
}

# Bytes of a seed, the same on every run.
make_file() { # FILE SIZE(bytes) [SEED]
	head -c "$2" /dev/zero | openssl enc -aes-128-ctr -nosalt \
		-K "$(printf '%032d' "${3:-1}")" -iv "$(printf '%032d' 7)" >"$1"
}
