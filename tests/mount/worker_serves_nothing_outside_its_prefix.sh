# SPDX-License-Identifier: Apache-2.0
# N8 for workers: with a prefix, keys are the bucket's, and nothing is told of
# what lies beside the prefix; a mount is sent elsewhere for it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
for key in in/side/a in/side/d/b in/sider/x out top; do
	sim_put "$key" 'size=1000&seed=1' >"$W/o"
done
SOURCE=s3://bucket/in/side
start_worker
expect_eq "$(worker_code /bucket/in/side/a)" 200
expect_eq "$(sha "$W/answer")" "$(sim_sha in/side/a)"
for key in out top in/sider/x in/side a in/side/; do
	expect_eq "$(worker_code "/bucket/$key")" 404 "$key"
	expect_eq "$(worker_code "/bucket/$key" -H 'x-tarn-protocol: 1')" 421 "$key"
done

listed() { # QUERY: what it names
	# In order: this curl signs them as they come.
	query=$(echo "list-type=2$1" | tr '&' '\n' | sort | paste -sd'&')
	worker_curl "/bucket?$query" -f |
		grep -o '<Key>[^<]*\|<CommonPrefixes><Prefix>[^<]*' |
		sed 's/.*>//' | tr '\n' ' '
}
expect_eq "$(listed '')" 'in/side/a in/side/d/b '
expect_eq "$(listed '&delimiter=%2F')" 'in/ '
expect_eq "$(listed '&delimiter=%2F&prefix=in%2F')" 'in/side/ '
expect_eq "$(listed '&delimiter=%2F&prefix=in%2Fs')" 'in/side/ '
expect_eq "$(listed '&delimiter=%2F&prefix=in%2Fside%2F')" 'in/side/a in/side/d/ '
expect_eq "$(listed '&prefix=in%2Fside%2Fd')" 'in/side/d/b '
for prefix in out in%2Fsider to; do
	expect_eq "$(listed "&prefix=$prefix")" '' "$prefix"
	expect_eq "$(listed "&prefix=$prefix&delimiter=%2F")" '' "$prefix"
done

# A mount that is wider would take these for all there is.
list_code() { # PREFIX [MORE-OF-THE-QUERY]
	worker_code "/bucket?${2-}list-type=2&prefix=$1" -H 'x-tarn-protocol: 1' -D "$W/head"
}
for prefix in '' in%2F in%2Fside out in%2Fsider%2F; do
	for delimiter in '' 'delimiter=%2F&'; do
		expect_eq "$(list_code "$prefix" "$delimiter")" 421 "LIST of '$prefix'"
		grep -qi '^x-tarn-protocol: 1' "$W/head"
	done
done
expect_eq "$(list_code in%2Fside%2F 'delimiter=%2F&')" 200
expect_eq "$(list_code in%2Fside%2Fd%2F)" 200
expect_eq "$(worker_code /other/in/side/a)" 404
expect_eq "$(worker_code /other/in/side/a -H 'x-tarn-protocol: 1' -D "$W/head")" 421
grep -qi '^x-tarn-protocol: 1' "$W/head"
expect_eq "$(worker_code '/bucket/in/side/a' -H 'x-tarn-protocol: 1' \
	-H 'x-tarn-store: http://elsewhere/bucket' -D "$W/head")" 421
grep -qi '^x-tarn-protocol: 1' "$W/head"
expect_eq "$(worker_code '/bucket/in/side/a' -H 'x-tarn-protocol: 1' \
	-H 'x-tarn-hop: 2' -D "$W/head")" 508
grep -qi '^x-tarn-protocol: 1' "$W/head"
stop_worker
