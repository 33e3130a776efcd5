# SPDX-License-Identifier: Apache-2.0
"""scripts/bench, all bytes on the SSD: against the same files on ext4."""
import statistics

from benchlib import (READERS, Store, drop_caches, make_data, readbench,
                      rivals, run, show, tarn_mount)

# name, what readbench does, dropped first?, target for tarn
WORK = [
    ("seq kept", ["seq", "BIG"], False, 0.97),
    ("random 4K kept", ["rand", "BIG", "200000", "SEED"], False, 0.97),
    ("mmap kept", ["mmap", "BIG", "200000", "SEED"], False, 0.97),
    ("seq dropped", ["seq", "BIG"], True, 0.95),
    ("random 4K dropped", ["rand", "BIG", "3000", "SEED"], True, 0.95),
    ("mmap dropped", ["mmap", "BIG", "3000", "SEED"], True, 0.95),
    ("files kept", ["files", "LIST", str(READERS), "SEED"], False, 0.55),
    ("files dropped", ["files", "LIST", str(READERS), "SEED"], True, 0.50),
]


def target_of(mount, name, target):
    if mount.name == "tarn daemon":  # passthrough=off
        return 0.55 if name == "seq dropped" else None
    return target if mount.name == "tarn" else None


def measure(mount, local, base, rounds, wanted):
    rows = []
    for name, work, dropped, target in WORK:
        if wanted and name not in wanted:
            continue
        ratios, cpu, size = [], 0.0, 0
        for seed in range(1, rounds + 2):
            times = {}
            order = [mount.dir, local]
            if seed % 2:
                order.reverse()
            for root in order:
                if dropped:
                    drop_caches()
                before = mount.cpu()
                times[root], n = readbench(work, root, base, seed)
                if root == mount.dir and seed > 1:
                    cpu += mount.cpu() - before
                    size += n
            if seed > 1:  # the first round warms both
                ratios.append(times[local] / times[mount.dir])
        rows.append({
            "mount": mount.name, "work": name,
            "target": target_of(mount, name, target),
            "ratio": statistics.median(ratios), "min": min(ratios),
            "max": max(ratios), "cpu_s_per_gb": cpu / (size / 1e9)})
        show(rows[-1])
    return rows


def warm(mount, base, store):
    """Read everything twice: the requests of two epochs."""
    before = store.counts()
    run("find", mount.dir, "-type", "f", "-size", "+0")
    for seed in (1, 2):
        readbench(["files", "LIST", str(READERS), "SEED"], mount.dir, base,
                  seed)
    after = store.counts()
    requests = {k: after[k] - before[k] for k in after}
    for _ in range(3):
        readbench(["seq", "BIG"], mount.dir, base, 1)
    drop_caches()  # what is kept from here on was read, on both sides
    return requests


def bench(base, args, stack):
    """(rows, figures by mount)"""
    store = Store(base)
    stack.callback(store.stop)
    local = make_data(base, store)
    memory = ",memory=" + args.memory if args.memory else ""
    mounts = [tarn_mount("tarn", base, store.url, memory),
              tarn_mount("tarn daemon", base, store.url,
                         memory + ",passthrough=off")]
    mounts += list(rivals(base, store.url))
    rows, extra = [], {}
    for m in mounts:
        stack.callback(m.stop)
        try:
            info = {"first_stat_s": m.start()}
        except SystemExit as e:
            if m.name.startswith("tarn"):
                raise
            print("%-12s left out: %s" % (m.name, e), flush=True)
            m.stop()
            continue
        info["requests_two_epochs"] = warm(m, base, store)
        rows += measure(m, local, base, args.rounds, args.only)
        info["peak_memory"] = m.peak()
        extra[m.name] = info
        print("%-12s first stat %.3f s, two epochs %s, peak memory %.0f MiB"
              % (m.name, info["first_stat_s"], info["requests_two_epochs"],
                 info["peak_memory"] / 2**20), flush=True)
        m.stop()
    return rows, extra
