# SPDX-License-Identifier: Apache-2.0
# What a mount writes its workers hear of: after fsync who asks them next is
# told what is now, however long they would have believed what was. A mount with
# a memory of its own goes on as its consistency says. A worker that is dead or
# silent is no error and no wait.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
dirs='1 2 3 4 5 6'
for n in $dirs; do
	for f in a gone moved; do
		sim_put "d$n/$f" "size=1000&seed=$n" >"$W/o"
	done
	sim_put "t$n/tree/deep/y" "size=1000&seed=$n" >"$W/o"
done
start_worker -n one consistency=ttl:1h
one=${WORKER#http://}
start_worker -n two consistency=ttl:1h
two=${WORKER#http://}
ring=workers=$one+$two,cluster-key-file=$W/cluster.key
mount_tarn "rw,$ring"
cold() { # NAME [OPTIONS]: a mount that knows nothing yet
	mkdir -m 700 "$W/cache.$1"
	CACHE_DIR=$W/cache.$1 mount_tarn -n "$1" "$ring,${2:-consistency=ttl:1h}"
}
names() { # DIRECTORY
	find "$1" -printf '%P\n' | LC_ALL=C sort | tr '\n' ' '
}
cold old
cold strict consistency=strict
# The workers know all names, and so does the old one.
for n in $dirs; do
	expect_eq "$(names "$W/old/d$n")" " a gone moved "
	expect_eq "$(stat -c %s "$W/old/d$n/a")" 1000
	expect_eq "$(names "$W/old/t$n")" " tree tree/deep tree/deep/y "
done

cat >"$W/change.py" <<'PY'
import os, sys
mnt = sys.argv[1]
for t in sys.argv[2].split():
    # With nothing else in the directory that would be told of.
    os.rename(mnt + "/t" + t + "/tree", mnt + "/t" + t + "/grown")
for d in sys.argv[3:]:
    for name, flags in (("a", os.O_TRUNC), ("new", os.O_CREAT | os.O_EXCL)):
        fd = os.open(d + "/" + name, os.O_WRONLY | flags)
        os.write(fd, b"x" * 2000)
        os.fsync(fd)
        os.close(fd)
    os.unlink(d + "/gone")
    os.rename(d + "/moved", d + "/elsewhere")
    os.mkdir(d + "/dir")
    fd = os.open(d, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)
PY
python3 "$W/change.py" "$MNT" "$dirs" "$MNT"/d*
expect_ge "$(counter mnt peer_told)" 6 "words to workers"
cold new
for n in $dirs; do
	for m in strict new; do
		expect_eq "$(names "$W/$m/d$n")" " a dir elsewhere new " "d$n in $m"
		expect_eq "$(stat -c %s "$W/$m/d$n/a" "$W/$m/d$n/new" | tr '\n' ' ')" \
			"2000 2000 " "sizes in d$n in $m"
		expect_eq "$(names "$W/$m/t$n")" " grown grown/deep grown/deep/y " "t$n in $m"
		expect_eq "$(sha "$W/$m/t$n/grown/deep/y")" "$(sim_sha "t$n/grown/deep/y")"
	done
	expect_eq "$(stat -c %s "$W/old/d$n/a")" 1000 "what a mount believes for an hour"
done
expect_ge "$(mount_stat "$W/new" "m['counters']['peer_head'] + m['counters']['peer_list']")" 6 \
	"questions to workers"
umount_tarn new
no_errors mnt

# Of two one is gone, then the other says nothing.
write() { # SEED
	for n in $dirs; do
		dd if=/dev/zero of="$MNT/d$n/w$1" bs=1000 count=1 conv=fsync 2>"$W/o"
		expect_eq "$(sim_sha "d$n/w$1")" "$(head -c 1000 /dev/zero | sha -)" "w$1"
	done
}
kill_worker two
write 1
wait_for 20 grep -q "warn .*worker $two could not be told" "$W/mnt.log"
kill -STOP "$(worker_pid one)"
write 2
kill -CONT "$(worker_pid one)"
write 3
expect_eq "$(grep -c ' warn .*could not be told' "$W/mnt.log")" 1 "lines of the log"
no_errors mnt
umount_tarn
umount_tarn old
umount_tarn strict
stop_worker one
