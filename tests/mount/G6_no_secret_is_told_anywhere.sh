# SPDX-License-Identifier: Apache-2.0
# G6, INV7: canaries are planted in every place that keys come from, and in what
# hostile endpoints and programs say. With all topics of the log on, over
# mounts, refusals, renewals, dumps and reloads none is in a log, a message,
# the status, the cache, /proc/PID/cmdline or environ; no core is written.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
# Every secret holds this word; key ids, which may be told, do not.
word=Zc4N4rY7
# A path to keys is not repeated either, though the environment shows it.
uri=uR14Zc
planted=$W/planted
mkdir -p "$planted" "$W/outputs" "$HOME/.aws/sso/cache"
start_awssim
sim_put f 'size=2000000&seed=1' >"$W/o"
want=$(sim_sha f)
sim "key?access=BASE&secret=$word-base&token=$word-session" ''
sim "key?access=TOOL&secret=$word-tool&token=$word-tooltoken" ''
aws_set sim="$SIM" secret="$word" base="BASE:$word-base:$word-session" \
	identity="$planted/identity" pod="$planted/pod" bearer="$word-bearer"
echo "$word-identity" >"$planted/identity"
echo "$word-pod" >"$planted/pod"
printf '{"accessToken": "%s-bearer", "refreshToken": "%s-refresh", "expiresAt": "2099-01-01T00:00:00Z"}' \
	$word $word >"$HOME/.aws/sso/cache/$(printf corp | sha1sum | cut -d' ' -f1).json"
cat >"$HOME/.aws/credentials" <<EOF
[base]
aws_access_key_id = BASE
aws_secret_access_key = $word-base
aws_session_token = $word-session
EOF
cat >"$HOME/.aws/config" <<EOF
[profile role]
role_arn = arn:aws:iam::1:role/reader
source_profile = base
external_id = $word-external
[profile tool]
credential_process = $planted/tool --password $word-argument
[profile badtool]
credential_process = $planted/badtool --password $word-argument
[profile notool]
credential_process = PASSWORD=$word-assigned $planted/tool
[profile spaces]
aws_access_key_id = BA SE
aws_secret_access_key = $word-base
[sso-session corp]
sso_region = eu-central-1
sso_start_url = https://corp.awsapps.com/start
[profile sso]
sso_session = corp
sso_account_id = 1
sso_role_name = Reader
EOF
cat >"$planted/tool" <<EOF
#!/bin/sh
echo $word-stderr >&2
env >"$planted/tool.env"
echo '{"Version": 1, "AccessKeyId": "TOOL", "SecretAccessKey": "$word-tool", "SessionToken": "$word-tooltoken"}'
EOF
cat >"$planted/badtool" <<EOF
#!/bin/sh
echo $word-stderr >&2
echo '{"Version": 1, "AccessKeyId": "TOOL", "SecretAccessKey": "$word-cut'
EOF
chmod +x "$planted/tool" "$planted/badtool"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export AWS_ENDPOINT_URL_STS="$AWSSIM" AWS_ENDPOINT_URL_SSO="$AWSSIM"
export AWS_EC2_METADATA_SERVICE_ENDPOINT="$AWSSIM"

# The canaries are where we think they are, and found by how we look.
grep -rlq $word "$HOME/.aws" "$planted" || fail "nothing was planted"

tell() { # NAME: what the process of that mount shows of itself
	pid=$(mount_pid "$1")
	tr '\0' '\n' <"/proc/$pid/cmdline" >"$W/outputs/$1.cmdline"
	tr '\0' '\n' <"/proc/$pid/environ" >"$W/outputs/$1.environ"
	tr '\0' '\n' <"/proc/$pid/auxv" >"$W/outputs/$1.auxv"
	grep -q "$SOURCE" "$W/outputs/$1.cmdline" || fail "no arguments seen"
	grep -q '^HOME=' "$W/outputs/$1.environ" || fail "no environment seen"
	"$TARN" status --json "$W/$1" >"$W/outputs/$1.status"
	"$TARN" status "$W/$1" >"$W/outputs/$1.status.txt"
}

all_topics() { # NAME [OPTIONS]: mount, work, let it tell all, end
	mkdir -p "$W/$1"
	"$TARN" mount "$SOURCE" "$W/$1" -d ufs,cache,fuse,meta \
		-o "cache-dir=$CACHE,log=$W/outputs/$1.log,log-level=debug,$STORE_OPTS${2:+,$2}" \
		>"$W/outputs/$1.out" 2>&1 8>&- 9>&- ||
		fail "$1: $(cat "$W/outputs/$1.out")"
	"$TARN" free "$W/$1" >"$W/o"
	expect_eq "$(sha "$W/$1/f")" "$want" "bytes of $1"
	tell "$1"
	kill -HUP "$pid"
	kill -USR1 "$pid"
	wait_for 20 grep -q 'read credentials' "$W/outputs/$1.log"
	wait_for 20 grep -q 'state: ' "$W/outputs/$1.log"
	umount_tarn "$1"
	grep -q 'ufs: ' "$W/outputs/$1.log" || fail "$1: no debug lines"
}

AWS_PROFILE=base all_topics file
AWS_ACCESS_KEY_ID=BASE AWS_SECRET_ACCESS_KEY=$word-base \
	AWS_SESSION_TOKEN=$word-session all_topics env
all_topics role profile=role
all_topics sso profile=sso
AWS_WEB_IDENTITY_TOKEN_FILE=$planted/identity AWS_ROLE_ARN=arn:aws:iam::1:role/x \
	all_topics web
AWS_CONTAINER_CREDENTIALS_FULL_URI="$AWSSIM/keys?$uri" \
	AWS_CONTAINER_AUTHORIZATION_TOKEN=$word-pod all_topics pod
AWS_EC2_METADATA_DISABLED=false all_topics imds
# The program does not see keys that the environment has for us.
AWS_ACCESS_KEY_ID=BASE AWS_SECRET_ACCESS_KEY=$word-base all_topics tool profile=tool
grep -q '^HOME=' "$planted/tool.env" || fail "the program saw no environment"
! grep -q $word "$planted/tool.env" || fail "the program saw a secret"

# What is refused, at the mount...
refused() { # NAME WORDS OPTIONS
	if "$TARN" mount "$SOURCE" "$MNT" -d ufs,cache,fuse,meta \
		-o "cache-dir=$CACHE,log=$W/outputs/$1.log,log-level=debug,metadata-timeout=2s,$STORE_OPTS,$3" \
		>"$W/outputs/$1.out" 2>&1; then
		fail "$1: mounted"
	fi
	grep -qF "$2" "$W/outputs/$1.out" ||
		fail "$1: wanted '$2': $(cat "$W/outputs/$1.out")"
}
refused badtool 'did not print a JSON object' profile=badtool
refused notool 'cannot be run' profile=notool
refused spaces 'spaces' profile=spaces
for f in 400 403 503 garbage redirect; do
	aws_set fail=$f
	refused "role-$f" '127.0.0.1' profile=role
	refused "sso-$f" 'SSO' profile=sso
	AWS_EC2_METADATA_DISABLED=false refused "imds-$f" 'EC2 metadata' region=us-east-1
	AWS_CONTAINER_CREDENTIALS_FULL_URI="$AWSSIM/keys?$uri" \
		AWS_CONTAINER_AUTHORIZATION_TOKEN=$word-pod \
		refused "pod-$f" "container's endpoint" region=us-east-1
done
# ... and while it runs: the store refuses, STS repeats what it was told.
aws_set fail= uses=4
export AWS_PROFILE=role
mkdir -p "$W/late"
"$TARN" mount "$SOURCE" "$W/late" -d ufs,cache,fuse,meta \
	-o "cache-dir=$CACHE,log=$W/outputs/late.log,log-level=debug,read-timeout=2s,metadata-timeout=2s,consistency=strict,cache-size=0,$STORE_OPTS" \
	>"$W/outputs/late.out" 2>&1 8>&- 9>&- || fail "$(cat "$W/outputs/late.out")"
expect_eq "$(sha "$W/late/f")" "$want"
aws_set fail=403
for _ in 1 2 3 4; do
	cat "$W/late/f" >"$W/o" 2>>"$W/outputs/late.err" || break
done
wait_for 20 grep -q 'cannot be renewed' "$W/outputs/late.log"
tell late
expect_ge "$(sim 'count?status=400')" 1 "refusals by the store"
umount_tarn late
unset AWS_PROFILE

found=$(grep -rlF -e $word -e 'Signature=' "$W/outputs" "$CACHE" "$W/run" "$W"/*.out 2>/dev/null) || true
expect_eq "$found" "" "files with a secret"
found=$(grep -rlF --exclude='*.environ' $uri "$W/outputs") || true
expect_eq "$found" "" "files with the path to keys"
expect_ge "$(find "$W/outputs" -name '*.log' -size +0 | wc -l)" 9 "logs looked at"

# A process that is killed by a fault leaves no core with keys in it.
cat >"$W/cores.py" <<'EOF'
import os, resource, signal, subprocess, sys, time
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
def dumps(argv, ready):
    p = subprocess.Popen(argv, cwd=sys.argv[1])
    while not ready(p):
        time.sleep(0.02)
    os.kill(p.pid, signal.SIGABRT)
    return os.WCOREDUMP(os.waitpid(p.pid, 0)[1])
if not dumps(["sleep", "100"], lambda p: "sleep" in open("/proc/%d/comm" % p.pid).read()):
    sys.exit(77)
mnt = sys.argv[2]
sys.exit(dumps(sys.argv[3:], lambda p: os.path.ismount(mnt) or p.poll() is not None))
EOF
case $BUILD in */plain) ;; *) exit 0 ;; esac # sanitizers want to look inside
mkdir -p "$W/cores"
rc=0
python3 "$W/cores.py" "$W/cores" "$MNT" "$TARN" mount "$SOURCE" "$MNT" -f \
	-o "cache-dir=$CACHE,$STORE_OPTS,profile=base" >"$W/o" 2>&1 8>&- 9>&- || rc=$?
umount -l "$MNT" 2>/dev/null || true
case $rc in
0) ;;
77) echo "note: this host writes no cores at all" ;;
*) fail "a core was written" ;;
esac
