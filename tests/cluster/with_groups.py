"""Scenarios of a cluster with groups: what their coordinators have promised outlives them. Each is
a function of a test (tests/cluster/run)."""

import concurrent.futures
import time

import groups
from broker import Failed, wait_until

GROUPS = 12


class Groups:
    """Groups with a member each, which commits rising offsets."""

    def __init__(self, test):
        self.cluster = test.cluster
        self.asked = {name: groups.Coordinator(test.cluster, name)
                      for name in ("group-%d" % i for i in range(GROUPS))}
        self.me = {name: c.become_member() for name, c in self.asked.items()}
        self.at = dict.fromkeys(self.asked, 0)

    def commit(self, name, n=1):
        for _ in range(n):
            error = self.asked[name].ask(groups.commit, "topic", 0, self.at[name] + 1,
                                         self.me[name])
            if error != groups.NONE:
                raise Failed("commit of %s: error %d" % (name, error))
            self.at[name] += 1

    def commit_all(self, n=1):
        for name in self.asked:
            self.commit(name, n)

    def check(self):
        """Every group has its member, its generation and its offset."""
        for name, coordinator in self.asked.items():
            error, offset = coordinator.ask(groups.committed, "topic", 0)
            if (error, offset) != (groups.NONE, self.at[name]):
                raise Failed("%s: committed %d, found %d, error %d"
                             % (name, self.at[name], offset, error))
            error = coordinator.ask(groups.heartbeat, self.me[name])
            if error != groups.NONE:
                raise Failed("heartbeat in %s: error %d" % (name, error))

    def of_node(self, node):
        return [name for name, c in self.asked.items() if c.look() and c.node == node]

    def close(self):
        for coordinator in self.asked.values():
            coordinator.close()


def groups_outlive_their_coordinator(test):
    cluster = test.cluster
    test.begin()
    all_groups = Groups(test)
    gaps = []
    for _ in range(test.rounds(3)):
        cluster.wait_for_isr("__consumer_offsets", 3)
        all_groups.commit_all(3)
        victim = max(cluster.nodes, key=lambda n: len(all_groups.of_node(n)))
        led = all_groups.of_node(victim)
        cluster[victim].kill()
        begin = time.monotonic()
        for name in led:
            all_groups.commit(name)
            gaps.append((time.monotonic() - begin) * 1000)
        all_groups.check()
        cluster.start([victim])
    all_groups.check()
    all_groups.close()
    gaps.sort()
    test.note("%d groups commit again %.0f ms (median), %.0f ms (the last) after a kill",
              len(gaps), gaps[len(gaps) // 2], gaps[-1])
    test.settle()


def a_paused_coordinator_does_not_tell_old_offsets(test):
    """It finds requests that have queued up, before it can know that another one coordinates."""
    cluster = test.cluster
    test.begin()
    all_groups = Groups(test)
    for _ in range(test.rounds(2)):
        cluster.wait_for_isr("__consumer_offsets", 3)
        all_groups.commit_all()
        controller = cluster.wait_for_controller()
        victim = max((n for n in cluster.nodes if n != controller),
                     key=lambda n: len(all_groups.of_node(n)))
        name = all_groups.of_node(victim)[0]
        coordinator = all_groups.asked[name]
        with cluster.connect(victim) as connection, concurrent.futures.ThreadPoolExecutor() as pool:
            cluster.pause(victim)
            try:
                wait_until(lambda: coordinator.look_at(controller) and coordinator.node != victim,
                           20, "another node coordinates")
                all_groups.commit(name, 3)
                queued = pool.submit(groups.committed, connection, name, "topic", 0)
                time.sleep(0.2)
            finally:
                cluster.resume(victim)
            error, offset = queued.result()
        if error not in groups.TRY_AGAIN and offset != all_groups.at[name]:
            raise Failed("error %d, offset %d, committed %d" % (error, offset, all_groups.at[name]))
        test.note("error %d", error)
    all_groups.close()
    test.settle()


def groups_outlive_all_nodes(test):
    cluster = test.cluster
    test.begin()
    all_groups = Groups(test)
    for _ in range(test.rounds(2)):
        all_groups.commit_all(2)
        cluster.kill_all()
        cluster.start()
        all_groups.check()
    all_groups.close()
    test.settle()


ALL = [
    groups_outlive_their_coordinator,
    groups_outlive_all_nodes,
    a_paused_coordinator_does_not_tell_old_offsets,
]
