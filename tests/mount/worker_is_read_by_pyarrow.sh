# SPDX-License-Identifier: Apache-2.0
# pyarrow lists and reads what a worker serves.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_clients pyarrow
start_store
mkdir -p "$W/src/d/e f"
make_file "$W/src/d/a" 200000
make_file "$W/src/d/e f/x+y" 100
make_file "$W/src/top" 9000000
store_put_tree "$W/src"
start_worker
AWS_SECRET_ACCESS_KEY=$CLUSTER_KEY $CLIENTS_PYTHON "$HELPERS/clients.py" \
	pyarrow "$WORKER" bucket "$W/src"
stop_worker
