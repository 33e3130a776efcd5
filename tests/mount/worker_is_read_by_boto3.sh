# SPDX-License-Identifier: Apache-2.0
# boto3 lists (one level and all, in pages) and reads what a worker serves.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_clients boto3
start_store
mkdir -p "$W/src/d/e f" "$W/src/d/g"
for n in $(seq 1 25); do
	make_file "$W/src/d/file $n & <more>" $((n * 1000)) "$n"
done
make_file "$W/src/d/e f/x+y" 100
make_file "$W/src/d/g/z" 100
make_file "$W/src/top" 3000000
store_put_tree "$W/src"
sim_put 'd/marked/' 'size=0' >"$W/o"
start_worker
read_by_client boto3
stop_worker
