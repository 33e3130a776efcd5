# SPDX-License-Identifier: Apache-2.0
# The page of a worker shows what its status says, on a phone and a desk, and
# asks nobody else for anything; keys that look like HTML are text. With a
# cluster's key it names no files (G4), as all may read it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_browser
STORE_KIND=file
start_store
mkdir -p "$W/store/d"
make_file "$W/store/d/<img src=x onerror=alert(1)>&amp;" 300000
make_file "$W/store/secret-name" 9000000
# A long name has to be broken on a phone.
make_file "$W/store/$(printf '%0200d' 7)" 5000000
start_worker
worker_curl /store/secret-name -o "$W/o"
worker_curl /store/secret-name -o "$W/o"
check_page "$WORKER/-/" "curl -sS --aws-sigv4 aws:amz:us-east-1:s3 --user tarn:$CLUSTER_KEY -H 'x-amz-content-sha256: $EMPTY_SHA256' $WORKER/store/secret-name -o $W/o" \
	"kill -STOP $(worker_pid)" \
	'worker on' 'Names of files are not told' '!secret-name' 'No ring'
kill -CONT "$(worker_pid)"
curl -fsS "$WORKER/-/status" "$WORKER/-/history" "$WORKER/-/" >"$W/told"
! grep -e secret-name -e "$CLUSTER_KEY" "$W/told" || fail "a name was told"
stop_worker

# Without a key whoever asks may read the files: they are named.
mkdir -m 700 "$W/open"
"$TARN" worker "$SOURCE" -o "listen=127.0.0.1:0,cache-dir=$W/open,log=$W/open.log" \
	>"$W/open.out" 2>&1 || fail "worker: $(cat "$W/open.out")"
at_exit 'stop_worker open'
WORKER=http://$(sed -n 's/^  listen *//p' "$W/open.out")
for f in 'd/%3Cimg%20src=x%20onerror=alert(1)%3E%26amp%3B' secret-name \
	"$(printf '%0200d' 7)"; do
	curl -fsSg "$WORKER/store/$f" -o "$W/o"
done
check_page "$WORKER/-/" "curl -fsS $WORKER/store/secret-name -o $W/o" \
	"kill -STOP $(worker_pid open)" \
	'store/d/<img src=x onerror=alert(1)>&amp;' 'store/secret-name' \
	"$(printf '%0200d' 7)"
kill -CONT "$(worker_pid open)"
