# SPDX-License-Identifier: Apache-2.0
# S14, S21: a file whose close was acknowledged is renamed while its commit
# runs; the store gets that and goes away before it tells. It is there under one
# name, the old one or the new one.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
CACHE_DIR=$W/c1 mount_tarn -n one rw,commit=writeback,commit-timeout=3s,metadata-timeout=3s
make_file "$W/small" 100000 2
held() { [ "$(sim_fired gate)" -ge 1 ]; }
sim_rule '[{"name":"gate","op":"PUT","count":1,"hold":true,"apply":true,"then":"reset"},
{"name":"dead","op":"PUT","status":503,"apply":false}]'
cp "$W/small" "$W/one/tmp"
wait_for 20 held
mv "$W/one/tmp" "$W/one/final" &
mover=$!
sleep 1
sim_rule '{"name":"away","op":"HEAD","status":503}'
sim release?rule=gate ''
# As long as the store does not tell what it has, nothing is renamed.
if wait $mover; then fail "mv did not wait for the store"; fi
[ -e "$W/one/tmp" ] || fail "the old name is gone"
[ ! -e "$W/one/final" ] || fail "the new name is there"
sim clear ''
mv "$W/one/tmp" "$W/one/final" || fail "mv failed"
there() { [ "$(sim_sha final)" = "$(sha "$W/small")" ]; }
wait_for 30 there
expect_eq "$(sha "$W/one/final")" "$(sha "$W/small")" "the new name, read"
[ ! -e "$W/one/tmp" ] || fail "the old name is there"
sleep 1
expect_eq "$(sim 'head?bucket=bucket&key=tmp' | grep -c size)" 0 "the old name in the store"
