# SPDX-License-Identifier: Apache-2.0
# T4, N1 to N6, F1 to F4: 600 hostile keys, of which each server's own share
# (what its own listing gives back) is walked and opened: no key is missing,
# no path is more, every path has its key's bytes.
# stores: objsim versitygw moto
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
python3 "$HELPERS/keys.py" put "$S3" bucket >"$W/held"
held=$(cut -d' ' -f1 "$W/held")
case $STORE_KIND in
objsim) expect_eq "$held" 600 "keys held" ;;
*) expect_ge "$held" 200 "keys held" ;;
esac
mount_tarn
python3 "$HELPERS/keys.py" check "$S3" bucket "$MNT" >"$W/checked"
expect_ge "$(cat "$W/checked")" $((held / 2)) "paths"
umount_tarn
[ "$STORE_KIND" = objsim ] || exit 0
# Again by a daemon that is to ask for each name alone.
mount_tarn consistency=strict
python3 "$HELPERS/keys.py" open "$S3" bucket "$MNT" >"$W/checked"
umount_tarn
