# SPDX-License-Identifier: Apache-2.0
# A23: listings with empty pages, a repeated token, keys twice and out of
# order, a wrong KeyCount; cut, hostile and endless ones. What is right in them
# is shown once; the others are EIO, cost little, and what half a page does
# not name is not held for absent.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
dirs="empty twice order count token circle other bomb extern text cut half"
for d in $dirs; do
	sim_put "$d/real" 'size=5&seed=1' >"$W/o"
done
python3 - "$ROOT/tests/data" >"$W/rules" <<'PY'
import json, sys
def more(next, *keys):
    return page("true", *keys).replace("</L", "<NextContinuationToken>%s"
        "</NextContinuationToken></L" % next, 1)
def page(truncated, *keys):
    return "<ListBucketResult><IsTruncated>%s</IsTruncated>%s</ListBucketResult>" % (
        truncated, "".join("<Contents><Key>%s</Key><Size>5</Size>"
                           "<ETag>e</ETag></Contents>" % k for k in keys))
def last(*keys):
    return page("false", *keys)
def data(name):
    return open("%s/should-fail-%s.xml" % (sys.argv[1], name)).read()
half = last("half/a", "half/real")
# By directory: the page for each token, "" for the first one.
pages = {
    "empty": {"": more("t1"), "t1": more("t2", "empty/a"), "t2": more("t3"),
              "t3": last("empty/b")},
    "twice": {"": more("t1", "twice/b", "twice/b", "twice/a", "twice/b"),
              "t1": last("twice/b", "twice/a", "twice/c")},
    "order": {"": more("t1", "order/m", "order/c", "order/z"),
              "t1": more("t2", "order/a"),
              "t2": last("order/y", "order/b", "order/n")},
    "count": {"": last("count/a", "count/b").replace(
        "<Is", "<KeyCount>9999</KeyCount><MaxKeys>1</MaxKeys><Is", 1)},
    "token": {"": more("same", "token/a"), "same": more("same", "token/b")},
    "circle": {"": more("t1", "circle/a"), "t1": more("t2"),
               "t2": more("t3"), "t3": more("t1")},
    "other": {"": last("elsewhere/a")},
    "bomb": {"": data("entity-bomb")},
    "extern": {"": data("external-entity")},
    "text": {"": last("text/@")},
    "half": {"": half[:len(half) // 2]},
}
rules = [{"name": "cut", "op": "LIST", "key": "cut/", "count": 1,
          "status": 200, "body": half[:len(half) // 2].replace("half", "cut")}]
for d, bodies in pages.items():
    for token, body in bodies.items():
        rule = {"name": d, "op": "LIST", "key": d + "/", "token": token,
                "status": 200, "body": body}
        if d == "text":
            rule["fill"] = 50 << 20
        rules.append(rule)
json.dump(rules, sys.stdout)
PY
sim_rule "$(cat "$W/rules")"
mount_tarn
shows() { # DIR NAME...
	dir=$1
	shift
	expect_eq "$(ls "$MNT/$dir" | tr '\n' ' ')" "$(printf '%s ' "$@")" "$dir"
	expect_fired "$dir"
}
refused() { # DIR
	expect_errno EIO ls "$MNT/$1"
	expect_fired "$1"
}
shows empty a b
shows twice a b c
shows order a b c m n y z
shows count a b
shows cut real
for d in token circle other bomb extern text half; do
	refused $d
done
# What stops a listing that goes round: soon.
expect_le "$(sim 'count?op=LIST&key=token/')" 20 "LISTs with one token"
expect_le "$(sim 'count?op=LIST&key=circle/')" 60 "LISTs in a circle"
# A text of 50 MB was not taken in, nor kept.
taken=$(sim 'bytes?op=LIST&key=text/')
memory=$(awk '/^VmHWM/ { print $2 }' "/proc/$(mount_pid)/status")
echo "of a name of 50 MB: $taken bytes sent, $memory KiB of memory at most"
expect_le "$taken" 40000000 "bytes of it that were taken"
case $BUILD in # a sanitizer keeps what was freed
*/plain) expect_le "$memory" 50000 "KiB of memory" ;;
esac
# Names that half a listing did not tell of are asked for.
expect_eq "$(sha "$MNT/half/real")" "$(sim_sha half/real)" "half/real"
expect_eq "$(sha "$MNT/bomb/real")" "$(sim_sha bomb/real)" "bomb/real"
sim clear ''
wait_for 20 ls "$MNT/half"
for d in token circle other bomb extern text half; do
	expect_eq "$(ls "$MNT/$d")" real "$d after the fault"
done
umount_tarn

# A million keys in one directory, as a stream: no more requests than pages,
# and each name once. Sanitizers make that slow: a tenth of it.
n=1000000
case $BUILD in
*/plain) ;;
*) n=100000 ;;
esac
sim reset ''
sim "many?bucket=bucket&prefix=big/&n=$n" ''
mount_tarn negative-ttl=0s # the first one listed a root without it
ls -U "$MNT/big" >"$W/names"
expect_eq "$(wc -l <"$W/names")" $n "names"
expect_eq "$(sort -u "$W/names" | wc -l)" $n "different names"
# A page a thousand, and what it takes to find where to cut.
expect_le "$(sim 'count?op=LIST&key=big/')" $((n * 14 / 10000 + 60)) "LISTs"
expect_le "$(sim 'count?op=HEAD')" 1 "HEADs, of the directory's name"
echo "$n keys: $(awk '/^VmHWM/ { print $2 }' "/proc/$(mount_pid)/status") KiB of memory at most"
umount_tarn
