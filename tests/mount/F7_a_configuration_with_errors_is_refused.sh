# SPDX-License-Identifier: Apache-2.0
# F7: unknown, duplicate, huge, not a number, overflowing, unreadable: one
# sentence with the file's name, exit 2 or 1, nothing mounted.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
mkdir -p "$W/store"
SOURCE=file://$W/store
refuse() { # JSON-TEXT
	printf '%s' "$1" >"$W/config.json"
	set +e
	"$TARN" mount "$SOURCE" "$MNT" -c "$W/config.json" \
		-o "cache-dir=$CACHE" >"$W/out" 2>&1
	rc=$?
	set -e
	case $rc in 1 | 2) ;; *) fail "exit $rc for $1" ;; esac
	expect_eq "$(wc -l <"$W/out")" 1 "lines of the message for $1"
	grep -q config.json "$W/out" || fail "no file named: $(cat "$W/out")"
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
