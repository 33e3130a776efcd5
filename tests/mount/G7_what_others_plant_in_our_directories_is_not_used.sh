# SPDX-License-Identifier: Apache-2.0
# G7: symlinks, FIFOs, directories and files of others planted in the cache
# directory and where the control sockets are: refused with the name of the
# thing, never followed, never waited for, nothing made behind them. What we
# make ourselves no one else can look into.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command setpriv
own_mounts
start_store
for n in 1 2 3 4 5 6; do
	sim_put f$n "size=200000&seed=$n" >"$W/o"
done
chmod 755 "$W"
outside=$W/outside
mkdir -m 777 "$outside"
untouched() { # WHAT
	expect_eq "$(find "$outside" -mindepth 1 | tr '\n' ' ')" \
		"$outside/file " "outside, $1"
	expect_eq "$(cat "$outside/file")" private "outside, $1"
}
echo private >"$outside/file"
refused() { # NAME-IN-THE-MESSAGE
	rc=0
	timeout 20 "$TARN" mount "$SOURCE" "$MNT" \
		-o "cache-dir=$CACHE,log=$W/mnt.log,$STORE_OPTS" \
		>"$W/out" 2>&1 8>&- 9>&- || rc=$?
	expect_eq $rc 1 "exit with a planted $1: $(cat "$W/out")"
	expect_eq "$(wc -l <"$W/out")" 1 "lines about $1: $(cat "$W/out")"
	grep -qF "$1" "$W/out" || fail "does not name $1: $(cat "$W/out")"
	expect_eq "$(mounts_here | grep -c "^$MNT\$")" 0 "mounts, with $1"
	untouched "$1"
}
plant() { # KIND PATH
	case $1 in
	symlink) ln -s "$outside/file" "$2" ;;
	symlink-to-a-directory) ln -s "$outside" "$2" ;;
	symlink-to-nothing) ln -s "$outside/new" "$2" ;;
	fifo) mkfifo "$2" ;;
	directory) mkdir "$2" ;;
	theirs) echo x >"$2" && chown 65534 "$2" ;;
	their-directory) mkdir -m 700 "$2" && chown 65534 "$2" ;;
	open-directory) mkdir "$2" && chmod 770 "$2" ;;
	esac
}

# In the cache directory, before the mount.
mount_tarn
sha "$MNT/f1" >"$W/o"
umount_tarn
for name in format usage lock v1 tmp; do
	mv "$CACHE/$name" "$W/was-$name"
	case $name in
	v1 | tmp) kinds='symlink-to-a-directory fifo their-directory open-directory' ;;
	format) kinds='symlink symlink-to-nothing fifo directory' ;;
	*) kinds='symlink symlink-to-nothing fifo directory theirs' ;;
	esac
	for kind in $kinds; do
		plant "$kind" "$CACHE/$name"
		refused "$CACHE/$name"
		rm -rf "${CACHE:?}/$name"
	done
	mv "$W/was-$name" "$CACHE/$name"
done

# Below it: the shards lead outside.
mount_tarn
sha "$MNT"/f* >"$W/o"
umount_tarn
n=0
for shard in "$CACHE"/v1/??; do
	mv "$shard" "$W/shard.$n"
	ln -s "$outside" "$shard"
	n=$((n + 1))
done
expect_ge $n 2 "shards planted"
sim forget ''
mount_tarn
for f in 1 2 3 4 5 6; do
	expect_eq "$(timeout 20 cat "$MNT/f$f" | sha256sum | cut -d' ' -f1)" \
		"$(sim_sha f$f)" "f$f, its shard is a symlink"
done
expect_eq "$(sim 'count?op=GET')" 6 "GETs, as nothing was read from outside"
untouched "the shards"
umount_tarn
find "$CACHE/v1" -type l -delete

# Ours are for nobody else, though the directory itself may be looked at.
chmod 755 "$CACHE"
mount_tarn
sha "$MNT"/f* >"$W/o"
expect_ge "$(cached_files +100k | wc -l)" 6 "cached files"
expect_eq "$(find "$CACHE" -mindepth 1 -type d -perm /077 | wc -l)" 0 \
	"directories open to others"
expect_eq "$(find "$CACHE" -type f -perm /077 | wc -l)" 0 "files open to others"
as_user 65534 find "$CACHE" >"$W/seen" 2>&1 || true
grep -q "$CACHE/v1" "$W/seen" || fail "the user could not even try"
! grep -qE "$CACHE/v1/.. *\$" "$W/seen" || fail "seen: $(cat "$W/seen")"
umount_tarn

# Where the control sockets are: /run/tarn, in a /run of our own.
mount -t tmpfs tmpfs /run
for kind in symlink symlink-to-a-directory symlink-to-nothing fifo theirs \
	their-directory open-directory; do
	plant "$kind" /run/tarn
	refused /run/tarn
	# A command finds no mount there, and does not wait for one.
	expect_eq "$(timeout 20 "$TARN" status --json 2>"$W/err" | tr -d ' \n' |
		grep -c '"mounts":\[\]')" 1 "status with $kind: $(cat "$W/err")"
	rm -rf /run/tarn
done
mount_tarn
expect_eq "$(stat -c %a:%u /run/tarn)" 700:0 "its directory"
socket=$(find /run/tarn -name '*.sock')
expect_eq "$(stat -c %a:%F "$socket")" 600:socket "its socket"
refuses() { # what another user may not do, though it may search the path
	as_user 65534 curl -sS --unix-socket "$socket" http://tarn/-/status \
		>"$W/out" 2>&1
}
! refuses || fail "another user was answered: $(cat "$W/out")"
chmod 711 /run/tarn
! refuses || fail "another user was answered: $(cat "$W/out")"
grep -qi 'permission denied\|couldn.t connect' "$W/out" || fail "$(cat "$W/out")"
chmod 700 /run/tarn
# What lies beside it stops neither a command nor another mount.
mkfifo /run/tarn/1-00000001.sock
ln -s "$outside/file" /run/tarn/2-00000002.sock
ln -s "$outside/new" /run/tarn/3-00000003.sock
mkdir /run/tarn/4-00000004.sock
expect_eq "$(timeout 60 "$TARN" status | grep -c " on $MNT")" 1 "mounts told of"
mount_tarn -n second
expect_eq "$(sha "$W/second/f2")" "$(sim_sha f2)"
umount_tarn second
umount_tarn
untouched "the sockets"
