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
stop_worker
