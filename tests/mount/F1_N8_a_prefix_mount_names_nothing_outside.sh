# SPDX-License-Identifier: Apache-2.0
# F1, N8, G7: below a prefix no path leads out of it, and no key becomes a
# host path: all files that the mount makes are in its own directories.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put secret 'size=10' >"$W/o"
sim_put p/in 'size=10&seed=1' >"$W/o"
sim_put p/..%2Fsecret 'size=11&seed=1' >"$W/o"
sim_put p/%2Fetc%2Fpasswd 'size=12&seed=1' >"$W/o"
sim_put pq 'size=13' >"$W/o"
sim_put p 'size=14' >"$W/o"
SOURCE=s3://bucket/p
mount_tarn
expect_eq "$(cd "$MNT" && find . -type f | sort | tr '\n' ' ')" \
	"./%~e/etc/passwd ./%~x%2E%2E/secret ./in " "paths"
expect_errno ENOENT cat "$MNT/secret"
expect_errno ENOENT cat "$MNT/%~x%2E%2E/%~x%2E%2E/secret"
expect_errno ENOENT cat "$MNT/%~e/%~e"
expect_eq "$(sha "$MNT/%~x%2E%2E/secret")" "$(sim_sha p/..%2Fsecret)"
umount_tarn
expect_eq "$(sim 'count?op=GET&key=secret')" 0 "GETs outside of the prefix"
expect_eq "$(find "$CACHE" -name '*passwd*' -o -name '*secret*' | wc -l)" 0
