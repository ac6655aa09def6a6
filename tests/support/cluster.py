"""A cluster of real daemons on loopback."""

import os
import signal
import time

import wire
from broker import Chronikd, Failed, free_ports, wait_until


class Cluster:
    """Nodes that know each other; none is started yet. Without a network they share the loopback
    address; with one (as of chaos/network.py) each has an address of its own."""

    def __init__(self, work, binary=None, ids=(1, 2, 3), overrides=None, io=None, network=None,
                 data=None):
        if network:
            at = ["%d@%s:9093" % (node, network.address(node)) for node in ids]
            overrides = {"chronik.cluster.secret": "a secret of the test", **(overrides or {})}
        else:
            at = ["%d@127.0.0.1:%d" % pair for pair in zip(ids, free_ports(len(ids)))]
        self.nodes = {}
        for node in ids:
            directory = data(node) if data else os.path.join(work, "data.%d" % node)
            broker = Chronikd(directory, work, binary, overrides, io, node, ",".join(at))
            broker.name = "node.%d" % node
            if network:
                broker.host, broker.inside = network.address(node), network.inside(node)
                broker.port, broker.admin_port = 9092, 9644
            self.nodes[node] = broker

    def __getitem__(self, node):
        return self.nodes[node]

    def start(self, order=None):
        """Starts all, or those given, in that order, and waits until they serve."""
        order = list(order or self.nodes)
        for node in order:
            self.nodes[node].launch()
        self.wait_for(order)

    def wait_for(self, ids, seconds=60):
        for node in ids:
            broker = self.nodes[node]
            wait_until(lambda: broker.serves() or not broker.alive(), seconds,
                       "%s serves" % broker.name)
            if not broker.alive():
                raise Failed("%s ended; the end of %s:\n%s" % (broker.name, broker.output_path,
                                                               broker.output()[-2000:]))

    def running(self):
        """The nodes that can be asked."""
        return [node for node, broker in self.nodes.items()
                if broker.alive() and not broker.is_paused()]

    def kill_all(self):
        """SIGKILL to all at once."""
        for broker in self.nodes.values():
            if broker.alive():
                os.kill(broker.pid(), signal.SIGKILL)
        for broker in self.nodes.values():
            broker.kill()

    def pause(self, node):
        os.kill(self.nodes[node].pid(), signal.SIGSTOP)

    def resume(self, node):
        os.kill(self.nodes[node].pid(), signal.SIGCONT)

    # ---- what the nodes say ----------------------------------------------------------------------

    def connect(self, node):
        return wire.connect(self.nodes[node].bootstrap)

    def metadata(self, node=None):
        with self.connect(node or self.running()[0]) as connection:
            return wire.metadata(connection)

    def controller(self):
        """The node that all running nodes take for the controller; None: they do not agree."""
        found = {self.nodes[node].metrics().get("kafka_server_raftmetrics_current_leader")
                 for node in self.running()}
        return int(found.pop()) if len(found) == 1 and None not in found else None

    def wait_for_controller(self, seconds=20):
        return wait_until(lambda: (self.controller() or -1) >= 0 and self.controller(), seconds,
                          "there is a controller")

    def make_topic(self, name, partitions, replication=3, configs=None):
        with self.connect(self.running()[0]) as connection:
            error = wire.create_topic(connection, name, partitions, replication, configs)
        if error != 0:
            raise Failed("topic %s: error %d" % (name, error))
        self.wait_for_isr(name, replication)

    def partitions(self, topic, node=None):
        return self.metadata(node)["topics"].get(topic, {})

    def wait_for_isr(self, topic, n, seconds=30):
        """Every running node says: all partitions have a leader and `n` replicas in sync."""
        def settled(node):
            partitions = self.partitions(topic, node)
            return partitions and all(p["leader"] >= 0 and len(p["isr"]) == n
                                      for p in partitions.values())
        for node in self.running():
            wait_until(lambda: settled(node), seconds,
                       "%d replicas of %s are in sync, says node %d" % (n, topic, node))

    def ms_until(self, condition, node, seconds=20):
        """Asks a node for its metadata again and again; ms until `condition(metadata)` holds."""
        begin = time.monotonic()
        with self.connect(node) as connection:
            while not condition(wire.metadata(connection)):
                if time.monotonic() > begin + seconds:
                    raise Failed("not within %d s, says node %d" % (seconds, node))
                time.sleep(0.001)
        return (time.monotonic() - begin) * 1000

    # ---- records ---------------------------------------------------------------------------------

    def produce(self, topic, partition, value, seconds=20, asked=None):
        """Produces a record with acks=all to whoever leads, as `asked` says; returns its offset."""
        end = time.monotonic() + seconds
        said = "no leader"
        while time.monotonic() < end:
            leader = self.partitions(topic, asked).get(partition, {}).get("leader", -1)
            if leader in self.running():
                try:
                    with self.connect(leader) as connection:
                        error, offset = wire.produce(connection, topic, partition,
                                                     wire.batch(value))
                    if error == 0:
                        return offset
                    said = "error %d" % error
                except OSError as reason:
                    said = str(reason)
            time.sleep(0.01)
        raise Failed("no record to %s-%d: %s" % (topic, partition, said))

    def values(self, topic, partition, seconds=20):
        """All records of a partition, from whoever leads."""
        end = time.monotonic() + seconds
        while True:
            leader = self.partitions(topic)[partition]["leader"]
            try:
                if leader not in self.nodes:
                    raise Failed("nobody leads %s-%d" % (topic, partition))
                with self.connect(leader) as connection:
                    return wire.values(connection, topic, partition)
            except (AssertionError, Failed, OSError):  # it leads no longer, or nobody does yet
                if time.monotonic() > end:
                    raise
            time.sleep(0.01)
