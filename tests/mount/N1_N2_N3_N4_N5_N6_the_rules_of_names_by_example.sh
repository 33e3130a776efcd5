# SPDX-License-Identifier: Apache-2.0
# N1 to N6: what each rule says, by example: keys that it is about, the paths
# that they have, and no other paths; each is found by its listing and, where
# the daemon knows nothing yet, by its name alone.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
many() { # N TEXT
	printf "$2%.0s" $(seq "$1")
}
# 256 bytes, whose 180th is in the middle of a character.
start=$(many 179 n)
longest=$(many 255 n)
longer=$start$(many 38 é)x
expect_eq "$(printf %s "$longer" | wc -c)" 256 "bytes of the long name"
digits=$(printf %s "$longer" | sha256sum | cut -c1-32)
composed=$(printf '\303\251') decomposed=$(printf 'e\314\201')
# The key (percent-encoded), then its path.
cat >"$W/table" <<TABLE
n1/plain%20name n1/plain name
n1/$longest n1/$longest
n1/%C3%A9 n1/$composed
n1/e%CC%81 n1/$decomposed
n1/Case n1/Case
n1/case n1/case
n1/25%25 n1/25%
n1/~%25 n1/~%
n2/a%2F%2Fb n2/a/%~e/b
n2/%2F%2Fc n2/%~e/%~e/c
n3/marker/ n3/marker/%~d
n4/. n4/%~x%2E
n4/.. n4/%~x%2E%2E
n4/a/../b n4/a/%~x%2E%2E/b
n4/%25~own n4/%~x%25~own
n4/nul%00%25 n4/%~xnul%00%25
n4/%FFnot n4/%~x%FFnot
n5/twin n5/%~=twin
n5/twin/b n5/twin/b
n5/%25~x n5/%~=%~x%25~x
n5/%25~x/b n5/%~x%25~x/b
n6/$longer n6/%~#$start~$digits
TABLE
n=0
while read -r key path; do
	n=$((n + 1))
	sim_put "$key" "size=$((100 + n))&seed=$n" >"$W/o"
	sim_sha "$key" >"$W/want.$n"
done <"$W/table"
# A marker without bytes is the directory and nothing else.
sim_put n3/bare/ 'size=0' >"$W/o"

each_is_right() { # WHEN
	n=0
	while read -r key path; do
		n=$((n + 1))
		expect_eq "$(stat -c %s "$MNT/$path")" $((100 + n)) "size of $path"
		expect_eq "$(sha "$MNT/$path")" "$(cat "$W/want.$n")" \
			"$path for $key, $1"
	done <"$W/table"
}
mount_tarn consistency=strict
each_is_right "by its name alone"
umount_tarn
CACHE_DIR=$W/cache2
mount_tarn
(cd "$MNT" && find . -type f) | sed 's|^\./||' | sort >"$W/found"
cut -d' ' -f2- "$W/table" | sort | diff - "$W/found" || fail "other paths"
each_is_right "listed"
[ -d "$MNT/n3/bare" ] || fail "no directory of a bare marker"
expect_eq "$(find "$MNT/n3/bare" -mindepth 1 | wc -l)" 0 "names in it"
# Case matters, and what the rules give to no key is no name.
for path in n1/CASE n1/%~e n1/%~xplain n2/%~e/%~e/%~e n4/.%2E n5/%~=b \
	n3/%~d "n6/$(printf %.250s "$longer")"; do
	expect_errno ENOENT cat "$MNT/$path"
done
umount_tarn
