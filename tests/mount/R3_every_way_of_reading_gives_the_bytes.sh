# SPDX-License-Identifier: Apache-2.0
# R3, T1: every way of reading gives the store's bytes, at every size that is
# an edge of something, cold and warm.
# stores: file objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src/dir/sub"
i=0
for size in 0 1 65535 65536 65537 1048576 1048577 8388625; do
	i=$((i + 1))
	make_file "$W/src/dir/f$size" $size $i
done
make_file "$W/src/dir/sub/f104857600" 104857600 99
echo "a needle in this one" >"$W/src/dir/sub/text"
store_put_tree "$W/src"
mount_tarn
M=$MNT/dir

# Cold, each file in its own way first.
cmp "$W/src/dir/f8388625" "$M/f8388625"
dd if="$M/f1048577" bs=1000 skip=1048 count=1 status=none |
	cmp - "$(tail -c +1048001 "$W/src/dir/f1048577" |
		head -c 1000 >"$W/slice" && echo "$W/slice")"
expect_eq "$(tail -c 5 "$M/sub/f104857600" | od -An -tx1)" \
	"$(tail -c 5 "$W/src/dir/sub/f104857600" | od -An -tx1)" "last bytes"
python3 "$HELPERS/reads.py" all "$W/src" "$MNT"
# Warm, and again when the kernel has forgotten.
drop_caches
python3 "$HELPERS/reads.py" all "$W/src" "$MNT"

expect_eq "$(cd "$MNT" && find . | sort)" "$(cd "$W/src" && find . | sort)" find
expect_eq "$(grep -rl needle "$MNT")" "$M/sub/text" "grep -r"
cp -r "$MNT/." "$W/copy"
diff -r "$W/src" "$W/copy"
for _ in 1 2 3 4 5 6 7 8; do
	cat "$M/sub/f104857600" | sha256sum >>"$W/sums" &
	readers="${readers-} $!"
done
# shellcheck disable=SC2086 # several
wait $readers
expect_eq "$(sort -u "$W/sums" | cut -d' ' -f1)" \
	"$(sha "$W/src/dir/sub/f104857600")" "concurrent readers"
umount_tarn
