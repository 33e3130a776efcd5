# SPDX-License-Identifier: Apache-2.0
# Programs that people use write on a mount as on a local directory, with the
# same exit codes and the same files; a mount that knows nothing of it finds
# them in the store.
# stores: objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh disable=SC2016 # each() evaluates
. "$(dirname "$0")/../lib.sh"
need_fuse
for c in git rsync sqlite3 tar vim zip; do
	need_command $c
done
start_store
mkdir "$W/twin"
make_file "$W/data" 5000000 1
make_file "$W/more" 700001 2
mkdir -p "$W/tree/a/b/c"
for n in 1 2 3 4 5 6 7 8 9; do
	make_file "$W/tree/a/$n" $((n * 11000)) $n
	make_file "$W/tree/a/b/c/$n" $((n * 300)) $n
done
git init -q "$W/upstream"
git -C "$W/upstream" config user.name t
git -C "$W/upstream" config user.email t@example.org
cp -r "$W/tree" "$W/upstream/"
git -C "$W/upstream" add .
git -C "$W/upstream" commit -qm first
mount_tarn rw

# each COMMAND: in both directories; what it says and its exit code are the same.
each() {
	for d in "$W/twin" "$MNT"; do
		rc=0
		(cd "$d" && eval "$*") >"$W/said.${d##*/}" 2>&1 || rc=$?
		echo "exit $rc" >>"$W/said.${d##*/}"
	done
	cmp "$W/said.twin" "$W/said.mnt" || fail "$*: $(cat "$W/said.twin" \
		"$W/said.mnt")"
	grep -qx 'exit 0' "$W/said.twin" || fail "$*: $(cat "$W/said.twin")"
}
each 'cp "$W/data" data; cp "$W/more" more; cp data copy; cmp data copy'
each 'mv copy moved; mv moved data2; ls'
each 'mv more data2; cat data2 | wc -c'
each 'cat data >>data2; echo end >>data2; wc -c <data2'
each 'tee new <"$W/more" >/dev/null; truncate -s 1000 new; truncate -s +5 new'
each 'dd if="$W/data" of=dd bs=64k status=none; dd if="$W/more" of=dd bs=1000 seek=33 conv=notrunc status=none'
each 'dd if="$W/more" of=dd bs=100k conv=notrunc,fsync status=none; dd if=/dev/zero of=zero bs=1M count=3 conv=fdatasync status=none'
each 'dd if="$W/data" of=direct bs=1M oflag=direct,append conv=notrunc status=none'
each 'dd if="$W/data" of=excl conv=excl,sparse status=none'
each 'mkdir -p d/e/f && cp -r "$W/tree" d/e/f && find d | sort'
each 'tar -C "$W" -cf t.tar tree && mkdir untar && tar -C untar --no-same-permissions --no-same-owner -xf t.tar && diff -r untar/tree "$W/tree"'
each 'rsync -r "$W/tree/" synced && echo more >>synced/a/1 && rsync -rc "$W/tree/" synced && diff -r synced "$W/tree"'
each 'rsync -r --inplace --append-verify "$W/tree/" synced'
each 'printf "one\ntwo\nthree\n" >words; sed -i s/two/2/ words; cat words'
each 'vim -u NONE -es -c "%s/one/1/" -c wq words; cat words; ls'
each 'zip -q z.zip words data2 && zip -q z.zip new && unzip -p z.zip words'
each 'sqlite3 db "create table t(a,b); insert into t values(1,2);" && sqlite3 db "insert into t select a+1,b from t; select * from t; pragma integrity_check"'
each 'git clone -q "$W/upstream" repo && cd repo && git config user.name t && git config user.email t@example.org && echo x >>tree/a/1 && git commit -qam second && git fsck --full --strict && git log --format=%s && git status --short && git gc -q'
each 'rm -r d/e && rmdir d && rm -r untar t.tar; ls'
each 'python3 -c "
import os
for mode in \"wb\", \"ab\", \"r+b\", \"xb\", \"w+b\", \"a+b\":
    name = \"py-\" + mode
    if mode == \"r+b\":
        open(name, \"wb\").write(b\"0\" * 100)
    with open(name, mode) as f:
        f.write(b\"abc\")
        f.flush()
        os.fsync(f.fileno())
        f.seek(0)
        f.write(b\"z\" * 70000)
    print(mode, os.path.getsize(name))
"'
# Git's files have times and random names in them: as bytes they differ.
rm -rf "$W/twin/repo/.git" "$W/twin/db" "$W/twin/z.zip"
CACHE_DIR=$W/cache2 mount_tarn -n other
git -C "$W/other/repo" -c safe.directory='*' fsck --full
rm -rf "$MNT/repo/.git" "$MNT/db" "$MNT/z.zip"
diff -r "$W/twin" "$MNT"
umount_tarn other
CACHE_DIR=$W/cache3 mount_tarn -n other
diff -r "$W/twin" "$W/other"
no_errors mnt
umount_tarn
umount_tarn other
