"""What is done to the nodes. A fault is inflicted, lasts for a while, and is healed; it counts as
fired only when its effect was seen."""

import os
import signal
import time

from broker import Failed, wait_until


class Fault:
    """One kind of harm to some nodes. Subclasses inflict() it, see that it fired, and heal() it."""

    name = None

    def __init__(self, cluster, nodes, network=None):
        self.cluster = cluster
        self.nodes = nodes
        self.network = network

    def inflict(self):
        raise NotImplementedError

    def heal(self):
        raise NotImplementedError


class Kill(Fault):
    """SIGKILL to all of them at once; they start again when it is over."""

    name = "kill"

    def inflict(self):
        for node in self.nodes:
            os.kill(self.cluster[node].pid(), signal.SIGKILL)
        for node in self.nodes:
            code = self.cluster[node].process.wait(10)
            if code != -signal.SIGKILL:
                raise Failed("node %d ended with %d before it was killed" % (node, code))
            self.cluster[node].process = None

    def heal(self):
        for node in self.nodes:
            self.cluster[node].launch()


class Restart(Kill):
    """SIGKILL, and the next process begins at once."""

    name = "restart"

    def inflict(self):
        super().inflict()
        super().heal()

    def heal(self):
        pass


class Pause(Fault):
    """SIGSTOP: connections stay, nothing answers."""

    name = "pause"

    def inflict(self):
        for node in self.nodes:
            self.cluster.pause(node)
        for node in self.nodes:
            wait_until(lambda: self._state(node) == "T", 5, "node %d stands still" % node)

    def _state(self, node):
        with open("/proc/%d/stat" % self.cluster[node].pid()) as file:
            return file.read().rpartition(")")[2].split()[0]

    def heal(self):
        for node in self.nodes:
            self.cluster.resume(node)


class Stop(Fault):
    """SIGTERM to all of them at once: each hands over and ends with 0."""

    name = "stop"

    def inflict(self):
        for node in self.nodes:
            os.kill(self.cluster[node].pid(), signal.SIGTERM)
        for node in self.nodes:
            broker = self.cluster[node]
            wait_until(lambda: not broker.alive(), 60, "node %d stops" % node)
            if broker.process.returncode != 0:
                raise Failed("node %d stopped with %d; the end of %s:\n%s" % (
                    node, broker.process.returncode, broker.output_path, broker.output()[-1000:]))
            broker.process = None

    def heal(self):
        for node in self.nodes:
            self.cluster[node].launch()


class Cut(Fault):
    """Connections between nodes are cut; subclasses say which."""

    def inflict(self):
        self.cut()
        self.network.check_cut(self.cluster[self.nodes[0]].port)

    def cut(self):
        raise NotImplementedError

    def heal(self):
        self.network.heal()

    def others(self):
        return [node for node in self.cluster.nodes if node not in self.nodes]


class Isolate(Cut):
    """Nothing passes between these nodes and the others."""

    name = "isolate"

    def cut(self):
        self.network.isolate(self.nodes, self.others())


class Mute(Cut):
    """The others no longer hear these nodes, but are heard."""

    name = "mute"

    def cut(self):
        for sender in self.nodes:
            for receiver in self.others():
                self.network.cut(sender, receiver)


class Deafen(Cut):
    """These nodes no longer hear the others, but are heard."""

    name = "deafen"

    def cut(self):
        for sender in self.others():
            for receiver in self.nodes:
                self.network.cut(sender, receiver)


class Ring(Cut):
    """Each node reaches its neighbours in a ring only. With three nodes all are neighbours: there,
    each hears one of them and is heard by the other."""

    name = "ring"

    def cut(self):
        ring = list(self.cluster.nodes)
        n = len(ring)
        for i, sender in enumerate(ring):
            for k in range(2, n - 1 if n > 3 else n):
                self.network.cut(sender, ring[(i + k) % n])


class Sever(Cut):
    """One connection is cut: that between the first node and one of the others."""

    name = "sever"

    def cut(self):
        self.network.isolate(self.nodes, self.others()[:1])


PROCESS_FAULTS = [Kill, Pause, Restart, Stop]
NETWORK_FAULTS = [Isolate, Mute, Deafen, Ring, Sever]


# ---- who is hit ---------------------------------------------------------------------------------


def controller(cluster, topic):
    return [cluster.wait_for_controller()]


def leader(cluster, topic):
    """Of those that are not the controller, the one that leads most partitions."""
    return by_leadership(cluster, topic)[:1]


def follower(cluster, topic):
    """Of those that are not the controller, the one that leads the fewest."""
    return by_leadership(cluster, topic)[-1:]


def majority(cluster, topic):
    return [cluster.wait_for_controller()] + by_leadership(cluster, topic)[:len(cluster.nodes) // 2]


def everybody(cluster, topic):
    return list(cluster.nodes)


def by_leadership(cluster, topic):
    office = cluster.wait_for_controller()
    leaders = [p["leader"] for p in cluster.partitions(topic, office).values()]
    return sorted((node for node in cluster.nodes if node != office), key=lambda node:
                  (-leaders.count(node), node))


TARGETS = [controller, leader, follower, majority, everybody]


def draw(random, cluster, topic, network):
    """A fault, and for how long: sometimes too short for anybody to notice, sometimes long."""
    cut = network is not None and random.random() < 0.6
    kind = random.choice(NETWORK_FAULTS if cut else PROCESS_FAULTS)
    target = random.choice(TARGETS[:4] if cut else TARGETS)
    seconds = random.choice((random.uniform(0.05, 0.5), random.uniform(1, 4)))
    return kind(cluster, target(cluster, topic), network), target.__name__, seconds


def last(fault, seconds):
    """Inflicts, waits, heals."""
    fault.inflict()
    time.sleep(seconds)
    fault.heal()
