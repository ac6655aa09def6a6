"""Rounds: a seeded draw of faults under continuous load, and one verdict at the end.

After every fault the cluster must become whole again, with records acknowledged in every
partition."""

import collections
import contextlib
import random
import time

import nemesis
from broker import Failed, wait_until
from cluster import Cluster
from network import Network
from running import judge
from workload import Load

TOPIC = "chaos"
LOAD = {"idempotent": 3, "plain": 2, "consumers": 2, "rate": 60}
SETTLE_S = 60
FATAL = ("FATAL", "check failed", "AddressSanitizer", "runtime error")


def see_nothing_fatal(cluster):
    for broker in cluster.nodes.values():
        if broker.starts > 0:
            found = [word for word in FATAL if word in broker.output()]
            if found:
                raise Failed("%s says %s, in %s" % (broker.name, found[0], broker.output_path))


def see_all_alive(cluster):
    for node, broker in cluster.nodes.items():
        if not broker.alive():
            raise Failed("node %d ended by itself; the end of %s:\n%s" % (
                node, broker.output_path, broker.output()[-1500:]))


def settle(cluster, load, replicas):
    """The cluster is whole again; ms until then."""
    begin = time.monotonic()
    wait_until(lambda: all(b.serves() or not b.alive() for b in cluster.nodes.values()), SETTLE_S,
               "all nodes serve")
    see_all_alive(cluster)
    cluster.wait_for_isr(TOPIC, replicas, SETTLE_S)
    load.wait_for_progress(SETTLE_S)
    return (time.monotonic() - begin) * 1000


def one_round(number, draw, cluster, load, network, fired):
    fault, target, seconds = nemesis.draw(draw, cluster, TOPIC, network)
    what = "%s %s (%s)" % (fault.name, target, ", ".join(map(str, fault.nodes)))
    print("%4d  %-34s %4.1f s" % (number, what, seconds), end="", flush=True)
    nemesis.last(fault, seconds)
    fired[fault.name] += 1
    ms = settle(cluster, load, 3)
    see_nothing_fatal(cluster)
    print("   whole after %5.0f ms, longest gap %5.0f ms" % (ms, load.tail.take_gap_ms()),
          flush=True)


def stop_all(cluster):
    for node in cluster.nodes:
        code = cluster[node].stop()
        if code != 0:
            raise Failed("node %d stopped with %d" % (node, code))


def run(options):
    draw = random.Random(options.seed)
    ids = range(1, options.nodes + 1)
    fired = collections.Counter()
    print("seed %s" % options.seed, flush=True)
    with Network(ids) if options.network else contextlib.nullcontext() as network:
        cluster = Cluster(options.work, options.binary, ids, io=options.io, network=network)
        bootstrap = ",".join(broker.bootstrap for broker in cluster.nodes.values())
        load = Load(options.load, bootstrap, options.work, TOPIC, partitions=2 * options.nodes)
        try:
            cluster.start()
            load.create_topic(replication=3)
            cluster.wait_for_isr(TOPIC, 3)
            load.start(**LOAD)
            load.wait_for_progress()
            for number in range(1, options.rounds + 1):
                one_round(number, draw, cluster, load, network, fired)
            load.finish()
            summary = judge(load)
            stop_all(cluster)
            return "%s; %s" % (summary, ", ".join("%s %d" % pair for pair in fired.items()))
        finally:
            load.abandon()
            cluster.kill_all()
