# SPDX-License-Identifier: Apache-2.0
# Bad input: one sentence that names the thing and the fix, exit 1 or 2,
# nothing mounted, no file left, no secret printed.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir "$W/open" "$W/busy"
chmod 777 "$W/open"
echo text >"$W/file"
printf '{\n "memory": "2G",\n "memry": 1\n}\n' >"$W/typo.json"
printf '{\n "memory": \n' >"$W/broken.json"
files() {
	find "$W" ! -name '*.log' ! -name 'sim.*' | sort
}
before=$(files)

# refused EXIT WORDS ARGUMENTS...
refused() {
	want=$1 words=$2
	shift 2
	rc=0
	"$TARN" "$@" >"$W/out" 2>"$W/err" </dev/null 9>&- || rc=$?
	expect_eq $rc "$want" "exit of tarn $*: $(cat "$W/err")"
	grep -qF -- "$words" "$W/err" || fail "tarn $*: $(cat "$W/err")"
	expect_eq "$(wc -l <"$W/err")" 1 "lines of: $(cat "$W/err")"
	expect_eq "$(cat "$W/out")" "" "output of tarn $*"
	if grep -q tarnsecret "$W/err"; then fail "a secret was printed"; fi
	rm -f "$W/out" "$W/err"
	expect_eq "$(mounts_here)" ""
	expect_eq "$(files)" "$before" "files after tarn $*"
}
mount_refused() { # EXIT WORDS SOURCE DIR OPTIONS
	refused "$1" "$2" mount "$3" "$4" \
		-o "cache-dir=$CACHE,log=stderr,metadata-timeout=2s${5:+,$5}"
}
here=$STORE_OPTS

refused 2 "which command?"
refused 2 "did you mean mount?" mout "$SOURCE" "$MNT"
refused 2 "did you mean --json?" status --jsno
refused 2 "needs a source and a directory" mount
refused 2 "is too much" mount "$SOURCE" "$MNT" more
refused 2 "needs a value" mount "$SOURCE" "$MNT" -o
refused 2 "unknown flag -q" mount -q "$SOURCE" "$MNT"
refused 2 "unknown flag --quiet" mount "$SOURCE" --quiet "$MNT"
refused 2 "the topics are" mount -d everything "$SOURCE" "$MNT"
refused 2 "ssd, ring and both" load --to disk "$MNT"
refused 2 "needs a path" load
refused 2 "one directory" umount
refused 1 "nothing is mounted" umount "$MNT"
refused 1 "is on no mount" status "$MNT"
refused 1 "is on no mount" invalidate "$MNT/x"
refused 1 "is on no mount" load "$MNT"
refused 1 "is in no mounted source" free s3://nobodys-bucket/x
mount_refused 2 "did you mean cache-size?" "$SOURCE" "$MNT" cache-siz=5G
mount_refused 2 "is not a size" "$SOURCE" "$MNT" memory=plenty
mount_refused 2 "ro is given twice" "$SOURCE" "$MNT" ro,rw
mount_refused 2 "absolute path" "$SOURCE" "$MNT" rw,staging-dir=here
mount_refused 2 "keys are never options" "$SOURCE" "$MNT" \
	secret-access-key=tarnsecret
refused 2 "typo.json:3: unknown option memry; did you mean memory?" \
	mount -c "$W/typo.json" "$SOURCE" "$MNT"
refused 2 "broken.json:3" mount -c "$W/broken.json" "$SOURCE" "$MNT"
refused 2 "No such file" mount -c "$W/none.json" "$SOURCE" "$MNT"
mount_refused 1 "is no source" bucket "$MNT" "$here"
mount_refused 1 "gopher" gopher://bucket "$MNT" "$here"
mount_refused 1 "keys do not belong" s3://tarn:tarnsecret@bucket "$MNT" "$here"
mount_refused 1 "no such directory" "$SOURCE" "$W/nowhere" "$here"
mount_refused 1 "is not a directory" "$SOURCE" "$W/file" "$here"
mount_refused 1 "NoSuchBucket" s3://wrong-bucket "$MNT" "$here"
mount_refused 1 "check endpoint=" "$SOURCE" "$MNT" \
	"endpoint=http://127.0.0.1:1,path-style=on"
mount_refused 1 "cannot open the directory" "file://$W/nowhere" "$MNT"
mount_refused 1 "$W/file" "file://$W/file" "$MNT"
refused 1 "$W/open" mount "$SOURCE" "$MNT" \
	-o "cache-dir=$W/open,log=stderr,$here"
refused 1 "log=$W/none/log" mount "$SOURCE" "$MNT" \
	-o "cache-dir=$CACHE,log=$W/none/log,$here"
sim_rule '{"name":"keys","status":403,"code":"InvalidAccessKeyId"}'
mount_refused 1 "AWS_ACCESS_KEY_ID" "$SOURCE" "$MNT" "$here"
expect_fired keys
sim clear ''
(
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	mount_refused 1 "anonymous" "$SOURCE" "$MNT" "$here"
)
mount_tarn
rc=0
"$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$CACHE,log=stderr,$here" \
	>"$W/out" 2>"$W/err" 9>&- || rc=$?
expect_eq $rc 1
grep -q "in use.*tarn umount" "$W/err" || fail "$(cat "$W/err")"
umount_tarn
