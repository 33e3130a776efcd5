# SPDX-License-Identifier: Apache-2.0
# Keys of a file that are replaced, as operators rotate them: SIGHUP reads them
# without one refused request, and without it the first refusal does.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for i in 1 2 3 4; do
	sim_put "f$i" "size=2000000&seed=$i" >"$W/o"
done
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
mkdir -p "$HOME/.aws"
rotate() { # NAME: the store takes this key only; the file has it
	sim settings "{\"access\": \"$1\", \"secret\": \"secret-of-$1\"}"
	printf '[default]\naws_access_key_id = %s\naws_secret_access_key = secret-of-%s\n' \
		"$1" "$1" >"$HOME/.aws/new"
	chmod 600 "$HOME/.aws/new"
	mv "$HOME/.aws/new" "$HOME/.aws/credentials"
}
rotate one
mount_tarn consistency=strict
expect_eq "$(sha "$MNT/f1")" "$(sim_sha f1)"
rotate two
kill -HUP "$(mount_pid)"
wait_for 20 grep -q 'new keys of profile default' "$W/mnt.log"
sim forget ''
expect_eq "$(sha "$MNT/f2")" "$(sim_sha f2)" "after SIGHUP"
expect_ge "$(sim count)" 1 "requests"
expect_eq "$(sim 'count?status=403')" 0 "refusals after SIGHUP"

rotate three
expect_eq "$(sha "$MNT/f3")" "$(sim_sha f3)" "after a refusal"
expect_ge "$(sim 'count?status=403')" 1 "refusals"
expect_eq "$(grep -c 'new keys of profile default' "$W/mnt.log")" 2 "renewals"

# Keys that are simply wrong: EACCES at once, as ever (A16).
rotate four
rm "$HOME/.aws/credentials"
began=$(date +%s)
expect_errno EACCES cat "$MNT/f4"
expect_le $(($(date +%s) - began)) 8 "seconds until EACCES"
rotate four
wait_for 40 cat "$MNT/f4"
umount_tarn
