# SPDX-License-Identifier: Apache-2.0
# s3fs lists and reads what a worker serves.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_clients s3fs
start_store
make_small_tree
store_put_tree "$W/src"
start_worker
read_by_client s3fs
stop_worker
