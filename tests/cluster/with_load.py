"""Scenarios of a cluster that need the chaos test's load: many records, or the power failing while
they are written. Each is a function of a test (tests/cluster/run)."""

import contextlib
import os
import random
import shutil
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "chaos"))

from broker import Chronikd, Failed, Skipped, wait_until  # noqa: E402
from cluster import Cluster  # noqa: E402
from disk import Disk, Scatter, unmount_left_over  # noqa: E402
from running import judge  # noqa: E402
from workload import Load  # noqa: E402

PARTITIONS = 6
RECORDS = 5000  # of each topic that is adopted


def load_of(test, bootstrap, topic="load", partitions=PARTITIONS):
    if not os.access(test.options.load, os.X_OK):
        raise Skipped("no load generator at %s" % test.options.load)
    work = os.path.join(test.work, "load." + topic)
    os.makedirs(work)
    return Load(test.options.load, bootstrap, work, topic, partitions)


def bootstrap_of(cluster):
    return ",".join(broker.bootstrap for broker in cluster.nodes.values())


# ---- power --------------------------------------------------------------------------------------


def the_power_of_all_nodes_fails_under_load(test):
    """Each node has a disk image of its own; all lose power at once, and any page that was not
    synced may be lost."""
    with contextlib.ExitStack() as stack:
        disks = {}
        for node in (1, 2, 3):
            work = os.path.join(test.work, "power.%d" % node)
            unmount_left_over(work)
            os.makedirs(work)
            disks[node] = stack.enter_context(Disk(work, 512))
        cluster = test.cluster = Cluster(test.work, test.options.binary, io=test.options.io,
                                         data=lambda node: disks[node].path + "/data")
        stack.callback(cluster.kill_all)
        cluster.start()
        load = load_of(test, bootstrap_of(cluster))
        stack.callback(load.abandon)
        load.create_topic(replication=3, segment_bytes=1 << 20)
        cluster.wait_for_isr(load.topic, 3)
        load.start(idempotent=3, plain=2, consumers=1, rate=300)
        load.wait_for_progress()
        for _ in range(test.rounds(3)):
            fail_power(disks, cluster)
            cluster.start()
            cluster.wait_for_isr(load.topic, 3, 60)
            load.wait_for_progress(60)
        load.finish()
        test.note("%s", judge(load))
        test.note("power cuts that lost something: %d of %d",
                  sum(disk.cuts_that_lost for disk in disks.values()),
                  sum(disk.cuts for disk in disks.values()))
        if not any(disk.cuts_that_lost for disk in disks.values()):
            raise Failed("no power cut lost anything: nothing was shown")


def fail_power(disks, cluster):
    with contextlib.ExitStack() as stack:
        for disk in disks.values():
            stack.enter_context(Scatter(disk.path, random.random()))
        time.sleep(random.uniform(0.3, 1.5))
        cuts = [threading.Thread(target=disk.cut) for disk in disks.values()]
        for cut in cuts:
            cut.start()
        for cut in cuts:
            cut.join()
        cluster.kill_all()
    for disk in disks.values():
        disk.power_on()


# ---- older directories --------------------------------------------------------------------------


def a_single_node_s_topics_become_a_cluster_s(test):
    """Topics (--topics) with 5,000 records each on one node; its Raft directory is deleted, and it
    starts as one of three: its topics are adopted, replicated, and every record is there."""
    cluster = test.cluster
    alone = Chronikd(cluster[1].directory, test.work, test.options.binary, io=test.options.io)
    loads = []
    try:
        alone.start()
        for i in range(test.options.topics):
            load = load_of(test, alone.bootstrap, "topic-%d" % i, partitions=3)
            load.create_topic(replication=1)
            load.start(count=-(-RECORDS // load.partitions))
            load.wait()
            loads.append(load)
        if alone.stop() != 0:
            raise Failed("the single node did not stop cleanly")
    finally:
        alone.kill()
    shutil.rmtree(os.path.join(cluster[1].directory, "raft"))
    cluster.start()
    begin = time.monotonic()
    for load in loads:
        wait_until(lambda: len(cluster.partitions(load.topic)) == 3, 60,
                   "%s is adopted" % load.topic)
    test.note("adopted %.0f ms after all serve", (time.monotonic() - begin) * 1000)
    for load in loads:
        cluster.wait_for_isr(load.topic, 3, 120)
    test.note("replicated %.0f ms after all serve", (time.monotonic() - begin) * 1000)
    for led_by in cluster.nodes:
        see_everything(cluster, loads, led_by)
    test.note("%d records", sum(acknowledged for load in loads
                                for acknowledged, _ in load.judge()[1].values()))


def see_everything(cluster, loads, gone):
    """All is there when one node is not, whichever it is."""
    cluster[gone].kill()
    for load in loads:
        load.bootstrap = ",".join(broker.bootstrap for node, broker in cluster.nodes.items()
                                  if node != gone)
        judge(load)
    cluster.start([gone])
    for load in loads:
        cluster.wait_for_isr(load.topic, 3, 60)


# ---- starts -------------------------------------------------------------------------------------


def nodes_start_with_any_delays(test):
    """All is there however long the nodes wait for each other (--delay)."""
    cluster = test.cluster
    test.begin()
    for _ in range(test.rounds(3)):
        cluster.kill_all()
        delays = sorted((random.uniform(0, test.options.delay), node) for node in cluster.nodes)
        if random.random() < 0.2:
            delays = [(0, node) for node in cluster.nodes]
        begin = time.monotonic()
        for delay, node in delays:
            time.sleep(max(0, begin + delay - time.monotonic()))
            cluster[node].launch()
        second = begin + delays[1][0]
        cluster.wait_for([node for _, node in delays])
        test.note("started at %s: all serve %.0f ms after the second one started",
                  ", ".join("%d: %.1f s" % (node, delay) for delay, node in delays),
                  (time.monotonic() - second) * 1000)
        test.settle()


ALL = [the_power_of_all_nodes_fails_under_load, a_single_node_s_topics_become_a_cluster_s,
       nodes_start_with_any_delays]
