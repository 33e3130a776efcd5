# SPDX-License-Identifier: Apache-2.0
# A directory's empty marker is listed with the date and the version that the
# store has, without a request for it when its version is the usual one.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
sim_put usual/ 'size=0' >"$W/o"
sim_put usual/a 'size=10&seed=1' >"$W/o"
sim_put odd/ 'size=0&etag=another' >"$W/o"
sim_put odd/a 'size=10&seed=1' >"$W/o"
sim_put only/ 'size=0' >"$W/o"
sim_put data/ 'size=5&seed=2' >"$W/o"
listed() { # DIR: "KEY DATE ETAG SIZE" of each key
	worker_curl "/bucket?delimiter=%2F&list-type=2&prefix=$1%2F" -f |
		grep -o '<Key>.*' | sed 's/<Contents>/\n/g' |
		sed -n 's|.*<Key>\([^<]*\)</Key><LastModified>\([^.<]*\)[^<]*</LastModified><ETag>\([^<]*\)</ETag><Size>\([0-9]*\)</Size>.*|\1 \2 \3 \4|p'
}
# What the store itself says.
head_of() { # KEY: "DATE ETAG" in the listing's words
	python3 -c 'import sys
sys.path.insert(0, sys.argv[1])
import email.utils, s3
status, headers, _ = s3.S3(sys.argv[2], "bucket").request("HEAD", sys.argv[3].encode())
assert status == 200, status
date = email.utils.parsedate_to_datetime(headers["last-modified"])
print(date.strftime("%Y-%m-%dT%H:%M:%S"),
      headers["etag"].replace("\"", "&quot;"))' "$HELPERS" "$SIM" "$1"
}
start_worker metadata-timeout=2s
for dir in usual odd only data; do
	size=0
	[ $dir != data ] || size=5
	listed $dir >"$W/keys"
	heads=$(sim 'count?op=HEAD')
	listed $dir >"$W/keys"
	asked=$(($(sim 'count?op=HEAD') - heads))
	[ $dir != odd ] || asked=$((asked - 1))
	expect_eq $asked 0 "HEADs for $dir"
	want="$dir/ $(head_of $dir/) $size"
	expect_eq "$(grep "^$dir/ " "$W/keys")" "$want" "the marker of $dir"
done
! listed usual | grep 1970 || fail "dated 1970"
# What cannot be known is left out.
sim_rule '{"name":"gone","op":"HEAD","key":"odd/","status":500}'
expect_eq "$(listed odd | wc -l)" 1 "keys when the store does not tell"
expect_fired gone
stop_worker
