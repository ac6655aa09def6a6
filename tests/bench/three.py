"""Rows 9 to 12 and 21 to 23 of the benchmark: three nodes of chronikd on this machine, durable,
three replicas, acks=all. `tests/bench/run --nodes 3` prints them."""
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import brokers  # noqa: E402
import wire  # noqa: E402
from cluster import Cluster  # noqa: E402

FAILOVER_ROUNDS = 10
CREATE_ROUNDS = 5


class Bench:
    """A running cluster, and the generator in front of it."""

    def __init__(self, o, tools):
        self.o, self.tools = o, tools
        self.work = o.dir / "three"
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.cluster = Cluster(str(self.work), str(o.broker))
        self.topics = 0

    def cpu_seconds(self):
        ticks = 0
        for broker in self.cluster.nodes.values():
            with open(f"/proc/{broker.pid()}/stat", encoding="ascii") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def load(self, mode, *args):
        """On a new topic; what it gives, and the CPU time of all nodes."""
        self.topics += 1
        before = self.cpu_seconds()
        line = self.tools.run("loadgen", mode, "--connect", self.cluster[1].bootstrap,
                              "--topic", f"{mode}-{self.topics}", "--acks", -1, "--ms", self.o.ms,
                              "--warmup-ms", self.o.warmup_ms, *args)
        line["cluster_cpu_s"] = self.cpu_seconds() - before
        return line


def one_record(bench):
    line = bench.load("produce", "--size", 100)
    line["cpu_s_m"] = line["cluster_cpu_s"] / (line["acked_records"] / 1e6)
    return line


def hundred_partitions(bench):
    line = bench.load("produce", "--size", 1024, "--records", 15, "--partitions", 100,
                      "--connections", 100, "--rate", 6500)
    line["p99_ms"], line["p99.9_ms"] = line["p99_us"] / 1e3, line["p99.9_us"] / 1e3
    return line


def most(size):
    def run(bench):
        line = bench.load("produce", "--size", size, "--records", 1000, "--inflight", 8)
        line["cpu_s_gb"] = line["cluster_cpu_s"] / (line["acked_records"] * size / 1e9)
        return line
    return run


def end_to_end(bench):
    return bench.load("e2e", "--size", 100, "--rate", 500)


# (row, title, function, [(number, unit, more is better, first mark or None)])
ROWS = [
    (9, "one record, 1 conn, closed loop", one_record,
     [("p50_us", "p50 us", False, 600), ("p99_us", "p99 us", False, None),
      ("cpu_s_m", "CPU-s/M", False, None)]),
    (10, "100 partitions, 100 MB/s in requests of 15 KiB, open loop", hundred_partitions,
     [("mb_s", "MB/s", True, None), ("p99_ms", "p99 ms", False, None),
      ("p99.9_ms", "p99.9 ms", False, None)]),
    (11, "100 B x 1000, 1 conn x 8", most(100),
     [("mb_s", "MB/s", True, 250), ("cpu_s_gb", "CPU-s/GB", False, None)]),
    (11, "1 KiB x 1000, 1 conn x 8", most(1024),
     [("mb_s", "MB/s", True, 250), ("cpu_s_gb", "CPU-s/GB", False, None)]),
    (12, "from producer to consumer, 500/s", end_to_end,
     [("p50_us", "p50 us", False, None), ("p99_us", "p99 us", False, None)]),
]


# ---- nodes that go away -------------------------------------------------------------------------


def print_failover(o, row, case):
    """Rows 21 and 22 come from tests/bench/failover."""
    done = subprocess.run([sys.executable, HERE / "failover", case, "--client", "raw",
                           "--rounds", str(1 if o.quick else FAILOVER_ROUNDS),
                           "--binary", o.broker, "--pulse", o.build / "tests/bench/pulse"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    last = done.stdout.strip().split("\n")[-1]
    print(f"\n {row}  longest gap between acknowledgements of a record each ms: {case}")
    print(f"     {last}")
    return done.returncode == 0 or re.search(r"median", last) is not None


def create_until(cluster, node, prefix, stopped, done):
    """Creates one topic after the other at a node; notes when each was answered."""
    n = 0
    while not stopped.is_set():
        with cluster.connect(node) as connection:
            if wire.create_topic(connection, f"{prefix}-{n}", 1, 3, None) == 0:
                done.append(time.monotonic())
        n += 1


def controller_gap_ms(bench):
    """The longest time without a new topic while the controller is killed (row 23)."""
    cluster, gaps = bench.cluster, []
    for i in range(1 if bench.o.quick else CREATE_ROUNDS):
        controller = cluster.wait_for_controller()
        node = next(n for n in cluster.nodes if n != controller)
        stopped, done = threading.Event(), []
        thread = threading.Thread(target=create_until,
                                  args=(cluster, node, f"made-{i}", stopped, done))
        thread.start()
        time.sleep(0.5)
        cluster[controller].kill()
        time.sleep(2)
        stopped.set()
        thread.join()
        gaps.append(max(b - a for a, b in zip(done, done[1:])) * 1000)
        cluster.start([controller])
    return gaps


# ---- the whole ----------------------------------------------------------------------------------


def show(values):
    return " / ".join(f"{v:,.0f}" if v >= 100 else f"{v:.3g}"
                      for v in (min(values), statistics.median(values), max(values)))


def print_row(row, title, columns, lines):
    noisy = "!" if max(line["foreign_percent"] for line in lines) > 5 else ""
    print(f"\n{row:>3}  {title}")
    for key, unit, more, mark in columns:
        values = [line[key] for line in lines]
        median = statistics.median(values)
        met = mark is None or (median >= mark if more else median <= mark)
        said = "" if mark is None else \
            f"  first mark {'>=' if more else '<='}{mark} {'met' if met else 'MISSED'}"
        print(f"     {unit:<10} {show(values)}{noisy}{said}")


def main(o):
    tools = brokers.Tools(o.build, False, o.raw)
    wanted = {int(n) for n in o.rows.split(",")} if o.rows else {9, 10, 11, 12, 21, 22, 23}
    bench, ok = Bench(o, tools), True
    try:
        bench.cluster.start()
        for row, title, function, columns in ROWS:
            if row in wanted:
                print_row(row, title, columns, [function(bench) for _ in range(o.repeats)])
        if 23 in wanted:
            print("\n 23  longest time without a new topic, the controller is killed\n"
                  f"     ms         {show(controller_gap_ms(bench))}")
    finally:
        bench.cluster.kill_all()
        shutil.rmtree(bench.work, ignore_errors=True)
    for row, case in ((21, "kill"), (22, "pause")):
        if row in wanted:
            ok = print_failover(o, row, case) and ok
    print(f"\nminimum / median / maximum of {o.repeats}; ! more than 5 % of the machine went to "
          "others")
    return ok
