#!/usr/bin/env python3
"""How long consumer groups need to find themselves again.

    tests/bench/groups.py share [--kafka] [--repeats 3]
    tests/bench/groups.py survive [--rounds 6]

share: 100 members, 100 partitions, one group: the time to a stable assignment when all join at
once, when one leaves, when one vanishes (its session of 6 s has to run out); then commits in a
closed loop. chronikd alone and as three nodes, with --kafka beside one node of Apache Kafka 4.4.
survive: 50 groups of two members on three nodes; each node is killed in turn. Prints the longest
time without an acknowledged commit, over the groups whose coordinator moved.

Members send a heartbeat every 500 ms, by which they learn of changes."""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import wire  # noqa: E402
from broker import Chronikd, Failed, Kafka, Skipped  # noqa: E402
from cluster import Cluster  # noqa: E402

TOPIC = "groups"
COLUMNS = ["join_ms", "leave_ms", "vanish_ms", "commits_s", "commit_p50_us", "commit_p99_us"]


def settings(options):
    return {"group.initial.rebalance.delay.ms": options.delay_ms}


def make_topic(broker, partitions, replication):
    with wire.connect(broker.bootstrap) as connection:
        error = wire.create_topic(connection, TOPIC, partitions, replication)
    if error:
        raise Failed("topic: error %d" % error)
    time.sleep(1)


def share(options, bootstrap):
    """One measurement: name -> number."""
    said = subprocess.run([options.program, "share", bootstrap, TOPIC, str(options.members),
                           str(options.members), str(options.ms)], stdout=subprocess.PIPE,
                          text=True, timeout=300)
    found = dict(re.findall(r"(\w+)=([\d.]+)", said.stdout))
    if said.returncode != 0 or found.get("lost") != "0":
        raise Failed("groups: %d %s" % (said.returncode, said.stdout))
    return {name: float(found[name]) for name in COLUMNS}


def one_node(options, kind, work):
    broker = kind(os.path.join(work, "data"), work, overrides=settings(options))
    try:
        broker.start()
        make_topic(broker, options.members, 1)
        if not options.quick:
            share(options, broker.bootstrap)  # warm
        return share(options, broker.bootstrap)
    finally:
        broker.kill()


def three_nodes(options, work):
    cluster = Cluster(work, options.binary, overrides=settings(options))
    try:
        cluster.start()
        cluster.make_topic(TOPIC, options.members)
        share(options, bootstrap(cluster))
        return share(options, bootstrap(cluster))
    finally:
        cluster.kill_all()


def bootstrap(cluster):
    return ",".join(broker.bootstrap for broker in cluster.nodes.values())


def measure_share(options):
    def chronikd(directory, work, overrides):
        return Chronikd(directory, work, options.binary, overrides)
    runs = {"chronikd": lambda work: one_node(options, chronikd, work)}
    if not options.quick:
        runs["chronikd, three nodes"] = lambda work: three_nodes(options, work)
    if options.kafka:
        runs["Kafka"] = lambda work: one_node(options, Kafka, work)
    results = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, run in runs.items():
            with tempfile.TemporaryDirectory(prefix="chronikd-bench.", dir=options.dir) as work:
                results[name].append(run(work))
    print("%-22s" % "median (min-max)" + "".join("%24s" % column for column in COLUMNS))
    for name, found in results.items():
        cells = ""
        for column in COLUMNS:
            values = [one[column] for one in found]
            cells += "%24s" % ("%.1f (%.1f-%.1f)" % (statistics.median(values), min(values),
                                                     max(values)))
        print("%-22s%s" % (name, cells))


def one_round(options, cluster, victim):
    """Gaps of the groups whose coordinator moved, and the longest one of the others."""
    process = subprocess.Popen([options.program, "survive", bootstrap(cluster), TOPIC, "4", "2",
                                str(options.groups)], stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != "ready\n":
            raise Failed("groups: not ready")
        cluster[victim].kill()
        time.sleep(3)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=120)[0]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    match = re.search(r"lost=(\d+) gaps_ms=(\S*) others_ms=([\d.]+)", said)
    if process.returncode != 0 or not match or match.group(1) != "0":
        raise Failed("groups: %s %s" % (process.returncode, said))
    return [float(gap) for gap in match.group(2).split(",") if gap], float(match.group(3))


def measure_survive(options):
    with tempfile.TemporaryDirectory(prefix="chronikd-bench.", dir=options.dir) as work:
        cluster = Cluster(work, options.binary, overrides=settings(options))
        moved, others = [], []
        try:
            cluster.start()
            cluster.make_topic(TOPIC, 4)
            for n in range(options.rounds):
                victim = 1 + n % 3
                gaps, rest = one_round(options, cluster, victim)
                moved += gaps
                others.append(rest)
                cluster.start([victim])
                cluster.wait_for_isr(TOPIC, 3)
                cluster.wait_for_isr("__consumer_offsets", 3)
                print("node %d: %d groups moved, median %.0f ms, maximum %.0f ms" % (
                    victim, len(gaps), statistics.median(gaps or [0]), max(gaps or [0])),
                    flush=True)
        finally:
            cluster.kill_all()
    print("groups=%d rounds=%d moved=%d lost=0 gap_median_ms=%.0f gap_max_ms=%.0f "
          "others_max_ms=%.0f" % (options.groups, options.rounds, len(moved),
                                  statistics.median(moved or [0]), max(moved or [0]),
                                  max(others)))


def main():
    build = os.path.join(ROOT, "build", "release")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0],
                                     epilog="\n".join(__doc__.split("\n")[2:]),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["share", "survive"])
    parser.add_argument("--kafka", action="store_true", help="beside Apache Kafka")
    parser.add_argument("--repeats", type=int, default=3, help="of share")
    parser.add_argument("--rounds", type=int, default=6, help="of survive")
    parser.add_argument("--members", type=int, default=100, help="and partitions, of share")
    parser.add_argument("--groups", type=int, default=50, help="of survive")
    parser.add_argument("--quick", action="store_true", help="few, once: does it work?")
    parser.add_argument("--ms", type=int, default=5000, help="so long are commits measured")
    parser.add_argument("--delay-ms", type=int, default=0,
                        help="group.initial.rebalance.delay.ms of the brokers")
    parser.add_argument("--binary", default=os.path.join(build, "src/chronikd/chronikd"))
    parser.add_argument("--program", default=os.path.join(build, "tests/bench/groups"))
    parser.add_argument("--dir", help="where data directories are made")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.rounds, options.members, options.groups = 1, 1, 5, 5
        options.ms = 200
    try:
        measure_share(options) if options.what == "share" else measure_survive(options)
    except (Failed, Skipped) as failure:
        print(failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
