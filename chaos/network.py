"""A network of our own: each node in a network namespace, all at one bridge, and cables to cut.

A cut has a direction: the sender gets a neighbour entry with an address that nobody has, so its
packets go nowhere, silently, as on a network that fails. Clients live outside, at the bridge, and
reach every node all the time. Needs iproute2, and root.
"""

import os
import subprocess

from broker import Failed, Skipped

NOBODY = "02:00:00:00:00:ff"


def ip(*arguments, check=True):
    done = subprocess.run(["ip", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if check and done.returncode != 0:
        raise Skipped("no network namespaces here, run as root: ip %s: %s"
                      % (" ".join(arguments), done.stdout.strip()))
    return done.stdout


class Network:
    """Use as a context: made inside, removed behind."""

    def __init__(self, nodes):
        self.nodes = list(nodes)
        self.tag = "chaos%d" % os.getpid()
        self.bridge = "cb%d" % os.getpid()
        self.cuts = set()  # (sender, receiver)

    def __enter__(self):
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self):
        # 198.18.0.0/15 is kept for tests of networks (RFC 2544).
        taken = ip("-brief", "-4", "address")
        self.subnet = next("198.18.%d" % n for n in range(256) if "198.18.%d." % n not in taken)
        ip("link", "add", self.bridge, "type", "bridge")
        ip("address", "add", self.subnet + ".254/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for node in self.nodes:
            space, outside = self.space(node), "cv%dn%d" % (os.getpid() % 100000, node)
            ip("netns", "add", space)
            ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", outside, "master", self.bridge, "up")
            ip("-n", space, "address", "add", self.address(node) + "/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")

    def __exit__(self, *_):
        for node in self.nodes:
            ip("netns", "delete", self.space(node), check=False)
        ip("link", "delete", self.bridge, check=False)

    def space(self, node):
        return "%sn%d" % (self.tag, node)

    def address(self, node):
        return "%s.%d" % (self.subnet, node)

    def inside(self, node):
        """What a command is started with, to run in a node's namespace with the same process id."""
        return ["ip", "netns", "exec", self.space(node)]

    def cut(self, sender, receiver):
        ip("-n", self.space(sender), "neighbour", "replace", self.address(receiver), "lladdr",
           NOBODY, "dev", "eth0", "nud", "permanent")
        self.cuts.add((sender, receiver))

    def isolate(self, group, others):
        for a in group:
            for b in others:
                self.cut(a, b)
                self.cut(b, a)

    def heal(self):
        for sender, receiver in self.cuts:
            ip("-n", self.space(sender), "neighbour", "delete", self.address(receiver), "dev",
               "eth0", check=False)
        self.cuts.clear()

    def check_cut(self, port):
        """No connection gets through what is cut."""
        for sender, receiver in self.cuts:
            connect = "timeout 0.2 bash -c ': </dev/tcp/%s/%d'" % (self.address(receiver), port)
            tried = subprocess.run(self.inside(sender) + ["bash", "-c", connect],
                                   stderr=subprocess.DEVNULL)
            if tried.returncode == 0:
                raise Failed("node %d still reaches node %d" % (sender, receiver))
