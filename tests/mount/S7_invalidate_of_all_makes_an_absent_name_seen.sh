# SPDX-License-Identifier: Apache-2.0
# S7: the kernel knows that names are absent, in the root and below it, which
# no inode tells of. `tarn invalidate` of all, and of a directory, drops that.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/there 'size=10&seed=1' >"$W/o"
sim_put d/sub/there 'size=10&seed=1' >"$W/o"
mount_tarn consistency=immutable
absent() {
	for n in "$@"; do
		expect_errno ENOENT stat "$MNT/$n"
	done
}
seen() {
	for n in "$@"; do
		stat "$MNT/$n" >"$W/o" || fail "$n is still absent"
	done
}
absent a d/a d/sub/a
for k in a d/a d/sub/a; do
	sim_put $k 'size=20&seed=2' >"$W/o"
done
absent a d/a d/sub/a
"$TARN" invalidate "$MNT/d"
seen d/a d/sub/a
absent b d/b d/sub/b
for k in b d/b d/sub/b d/b/deep; do
	sim_put $k 'size=20&seed=2' >"$W/o"
done
"$TARN" invalidate "$MNT"
seen a d/a d/sub/a b d/b d/sub/b 'd/%~=b'
# The file beside a directory is a name of its own.
sim_put d/c/deep 'size=10&seed=1' >"$W/o"
sim_put e/deep 'size=10&seed=1' >"$W/o"
"$TARN" invalidate "$MNT"
seen d/c e
absent 'd/%~=c' '%~=e'
sim_put d/c 'size=10&seed=1' >"$W/o"
sim_put e 'size=10&seed=1' >"$W/o"
"$TARN" invalidate "$MNT/d/c"
"$TARN" invalidate "$MNT/e"
seen 'd/%~=c' '%~=e'
umount_tarn
