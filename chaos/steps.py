"""The seven steps: a cluster loses the leader of its Raft group and nothing else.

Each step is strict: the first deviation ends the test."""

import os
import re
import signal
import time

from broker import Failed, wait_until
from cluster import Cluster
from workload import Load, first_ack_ms, now_ns

TOPIC, PARTITIONS, RECORDS = "chaos", 3, 50
ELECTOR = re.compile(r"\[elector\] active\b")


class Steps:
    def __init__(self, options):
        self.options = options
        self.work = options.work
        self.cluster = self.load = None
        self.failover_ms = None

    # Each step returns what it has to say.

    def clean_directories(self):
        self.cluster = Cluster(self.work, self.options.binary, io=self.options.io)
        if any(os.path.exists(broker.directory) for broker in self.cluster.nodes.values()):
            raise Failed("there are data in %s" % self.work)
        return self.work

    def three_nodes_start(self):
        begin = time.monotonic()
        self.cluster.start()
        self.cluster.wait_for_controller()
        return "all serve after %.0f ms" % ((time.monotonic() - begin) * 1000)

    def the_leader_elector_is_active_on_all(self):
        for broker in self.cluster.nodes.values():
            if not ELECTOR.search(broker.output()):
                raise Failed("%s does not say that its LeaderElector is active" % broker.name)
        return "the controller is node %d" % self.cluster.wait_for_controller()

    def fifty_records_to_each_partition(self):
        self.load = Load(self.options.load, self.bootstrap(), self.work, TOPIC, PARTITIONS)
        self.load.create_topic(replication=3)
        self.cluster.wait_for_isr(TOPIC, 3)
        leaders = sorted(p["leader"] for p in self.cluster.partitions(TOPIC).values())
        if leaders != sorted(self.cluster.nodes):
            raise Failed("the leaders are %s, not one on each node" % leaders)
        self.send()
        return "a leader on every node, acks=all"

    def everything_is_read(self):
        return self.read_and_compare(RECORDS)

    def the_raft_leader_is_killed(self):
        cluster = self.cluster
        victim = cluster.wait_for_controller()
        before = cluster.partitions(TOPIC, victim)
        led = {k for k, p in before.items() if p["leader"] == victim}
        if not led:
            raise Failed("node %d leads no partition" % victim)
        term = self.terms([victim])[0]
        self.killed_ns = now_ns()
        os.kill(cluster[victim].pid(), signal.SIGKILL)
        cluster[victim].kill()
        raft_ms, partition_ms = self.see_elections(victim, led, before, term)
        self.victim, self.led = victim, led
        return ("node %d led partition %s; new controller after %.0f ms, new partition leader "
                "after %.0f ms" % (victim, ", ".join(map(str, led)), raft_ms, partition_ms))

    def fifty_more_through_the_others(self):
        self.load.bootstrap = self.bootstrap(without=self.victim)
        self.send()
        self.failover_ms = first_ack_ms(self.load.history, self.led, self.killed_ns)
        return (self.read_and_compare(2 * RECORDS) +
                "; the first one to partition %s was acknowledged %.0f ms after the kill"
                % (", ".join(map(str, self.led)), self.failover_ms))

    STEPS = [clean_directories, three_nodes_start, the_leader_elector_is_active_on_all,
             fifty_records_to_each_partition, everything_is_read, the_raft_leader_is_killed,
             fifty_more_through_the_others]

    # ---- what they do ----------------------------------------------------------------------------

    def bootstrap(self, without=None):
        return ",".join(broker.bootstrap for node, broker in self.cluster.nodes.items()
                        if node != without)

    def send(self):
        self.load.start(count=RECORDS)
        self.load.wait()

    def read_and_compare(self, expected):
        """Everything that was acknowledged is there, once, in order, and nothing else."""
        self.load.read()
        _, keys = self.load.judge()
        for k in range(PARTITIONS):
            if keys.get(k) != (expected, expected):
                raise Failed("partition %d: acknowledged and there are %s, not %d"
                             % (k, keys.get(k), expected))
        return "%d of %d records, all ids, in order" % (PARTITIONS * expected,
                                                        PARTITIONS * expected)

    def terms(self, nodes):
        return [self.cluster[node].metrics()["kafka_server_raftmetrics_current_epoch"]
                for node in nodes]

    def see_elections(self, victim, led, before, term):
        """Both survivors say so; ms since the kill for the Raft group and for the partitions."""
        cluster = self.cluster

        def raft_elected():
            return cluster.controller() not in (None, -1, victim)

        def partitions_elected():
            return all(p["leader"] not in (-1, victim) and p["epoch"] > before[k]["epoch"]
                       for node in cluster.running()
                       for k, p in cluster.partitions(TOPIC, node).items() if k in led)
        wait_until(raft_elected, 20, "the others have a controller", 0.002)
        raft_ms = (now_ns() - self.killed_ns) / 1e6
        if min(self.terms(cluster.running())) <= term:
            raise Failed("there is a new controller without a new term")
        wait_until(partitions_elected, 20, "the others say who leads partition %s" % led, 0.002)
        return raft_ms, (now_ns() - self.killed_ns) / 1e6


def run(options):
    """Raises Failed at the first deviation; returns the verdict."""
    steps = Steps(options)
    try:
        for number, step in enumerate(Steps.STEPS, 1):
            name = step.__name__.replace("_", " ")
            try:
                said = step(steps)
            except Failed as failure:
                raise Failed("step %d, %s: %s" % (number, name, failure))
            print("%d  %-36s %s" % (number, name, said), flush=True)
        return ("every acknowledged record is there, once, in order; failover in %.0f ms"
                % steps.failover_ms)
    finally:
        if steps.load is not None:
            steps.load.abandon()
        if steps.cluster is not None:
            steps.cluster.kill_all()
