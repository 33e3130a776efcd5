# SPDX-License-Identifier: Apache-2.0
# F7: unknown, duplicate, huge, not a number, overflowing, unreadable, open to
# others: one sentence with the file's name and the line, exit 2 or 1, nothing
# mounted. Secrets that others can read are named with the fix.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
mkdir -p "$W/store"
SOURCE=file://$W/store
refuse() { # JSON-TEXT [LINE]
	printf '%s' "$1" >"$W/config.json"
	refuse_file "$1" ":${2:-1}: "
}
refuse_file() { # WHAT WORDS
	set +e
	"$TARN" mount "$SOURCE" "$MNT" -c "$W/config.json" \
		-o "cache-dir=$CACHE" >"$W/out" 2>&1
	rc=$?
	set -e
	case $rc in 1 | 2) ;; *) fail "exit $rc for $1" ;; esac
	expect_eq "$(wc -l <"$W/out")" 1 "lines of the message for $1"
	grep -qF "$W/config.json$2" "$W/out" ||
		fail "wanted config.json$2: $(cat "$W/out")"
	! mounts_here | grep -q . || fail "mounted with $1"
}
refuse '{"no-such-option": 1}'
refuse '{"memory": "1G", "memory": "2G"}'
refuse '{"memory": "99999999999999999999G"}'
refuse '{"memory": "NaN"}'
refuse '{"memory": "-1"}'
refuse '{"memory": 1e400}'
refuse '{"memory": "16384P"}'
refuse '{"consistency": "ttl:60"}'
refuse '{"consistency": "sometimes"}'
refuse '{"metadata-timeout": "10 years"}'
refuse '{"file-mode": "999"}'
refuse '{"memory": "1G"'
refuse '[]'
refuse ''
refuse '{"memory": ["1G"]}'
python3 -c 'print("[" * 100000)' >"$W/deep"
refuse "$(cat "$W/deep")"
refuse '{
	"memory": "1G",
	"passthruogh": "off"
}' 3
refuse '{
	"memory": "1G",

	"memory": "1G"
}' 4
refuse '{ "uid": "no-such-user" }'
refuse '{ "cache-size": "1e3" }'
refuse '{ "cache-size": "101%" }'
head -c 300000 /dev/zero | tr '\0' ' ' >"$W/config.json"
refuse_file "300 KB" ' is larger'
printf '{"memory": "1G"}' >"$W/config.json"
chmod 646 "$W/config.json"
refuse_file "a file that others may write" ': anyone may change it'
rm "$W/config.json"
refuse_file "no file" ': cannot read it'
mkfifo "$W/config.json"
refuse_file "a FIFO" ' is not a file'
rm "$W/config.json"
mkdir "$W/config.json"
refuse_file "a directory" ''
rmdir "$W/config.json"

# Keys in a file that others can read: told with the fix, as containers are
# given such files. Who may write it says which program we run: refused.
start_objsim
sim 'bucket?name=bucket' ''
SOURCE=s3://bucket STORE_OPTS=endpoint=$SIM,path-style=on
mkdir -p "$HOME/.aws"
printf '[default]\naws_access_key_id = tarn\naws_secret_access_key = tarnsecret\n' \
	>"$HOME/.aws/credentials"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
told() {
	grep -qF "every user of this host can read $HOME/.aws/credentials; chmod 600" \
		"$W/mnt.log" "$W/mnt.out"
}
chmod 644 "$HOME/.aws/credentials"
mount_tarn
told || fail "not told: $(cat "$W/mnt.log")"
umount_tarn
rm "$W/mnt.log"
chmod 600 "$HOME/.aws/credentials"
mount_tarn
! told || fail "told of a file of mode 0600"
umount_tarn
printf '[default]\ncredential_process = %s\n' "$W/tool" >"$HOME/.aws/config"
rm "$HOME/.aws/credentials"
printf '#!/bin/sh\n: >"%s"\n' "$W/ran" >"$W/tool"
chmod +x "$W/tool"
chmod 666 "$HOME/.aws/config"
if "$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$CACHE,$STORE_OPTS" >"$W/out" 2>&1; then
	fail "mounted by a program that anyone may choose"
fi
grep -q "others can write to $HOME/.aws/config" "$W/out" || fail "$(cat "$W/out")"
[ ! -e "$W/ran" ] || fail "the program was run"
