"""Scenarios of a cluster that ask by hand what clients act upon: what ListOffsets tells while a new
leader does not know yet what is committed, which leader epochs it gives, and where a node that does
not lead points to (KIP-951)."""

import os
import struct
import time

import wire
from broker import Failed, wait_until
from cluster import Cluster

LATEST, EARLIEST, NEVER = -1, -2, 1 << 60
LEADER_NOT_AVAILABLE, OFFSET_NOT_AVAILABLE = 5, 78


def list_offsets(cluster, node, version, timestamp):
    """ListOffsets v4 or v5 of the one partition: (error, offset, leader epoch)."""
    body = struct.pack(">ibi", -1, 0, 1) + wire.string("ends")
    body += struct.pack(">iiiq", 1, 0, -1, timestamp)
    with cluster.connect(node) as connection:
        answer = wire.Reader(wire.request(connection, 2, version, body))
    answer.take("ii")
    answer.string()
    _, _, error, _, offset, epoch = answer.take("iihqqi")
    return error, offset, epoch


def expect(found, wanted, what):
    if found != wanted:
        raise Failed("%s: %s, not %s" % (what, found, wanted))


def now_ms():
    time.sleep(0.01)  # records of different milliseconds
    return int(time.time() * 1000)


# Five nodes: one may die and one be paused, and there is still a quorum.
def a_new_leader_tells_no_end_before_it_knows_it(test):
    # Nobody is thought dead while it is only paused: the paused one stays in the in-sync set.
    cluster = Cluster(os.path.join(test.work, "five"), test.options.binary, ids=range(1, 6),
                      io=test.options.io, overrides={"broker.session.timeout.ms": 600000,
                                                     "replica.lag.time.max.ms": 600000})
    os.makedirs(os.path.join(test.work, "five"))
    try:
        look_at_the_end(cluster)
    finally:
        cluster.kill_all()


def look_at_the_end(cluster):
    cluster.start()
    cluster.make_topic("ends", 1)
    before = cluster.partitions("ends")[0]
    old, new, paused = before["replicas"]
    expect(before["leader"], old, "the first replica leads")
    times = [now_ms()]
    cluster.produce("ends", 0, b"one")
    cluster.pause(paused)
    times.append(now_ms())
    with cluster.connect(old) as connection:
        expect(wire.produce(connection, "ends", 0, wire.batch(b"two"), acks=1), (0, 1), "two")
    wait_until(lambda: "two" in cluster[new].dump("ends-0").values("ends-0").values(), 20,
               "the follower has it")
    cluster[old].kill()
    wait_until(lambda: cluster.partitions("ends", new)[0]["leader"] == new, 30, "it leads")
    for timestamp in (LATEST, NEVER):
        expect(list_offsets(cluster, new, 4, timestamp), (LEADER_NOT_AVAILABLE, -1, -1), "v4")
        expect(list_offsets(cluster, new, 5, timestamp), (OFFSET_NOT_AVAILABLE, -1, -1), "v5")
    expect(list_offsets(cluster, new, 5, EARLIEST), (0, 0, before["epoch"]), "earliest")
    cluster.resume(paused)
    wait_until(lambda: list_offsets(cluster, new, 5, LATEST)[0] == 0, 30, "it knows the end")
    epoch = cluster.partitions("ends", new)[0]["epoch"]
    expect(list_offsets(cluster, new, 5, LATEST), (0, 2, epoch), "latest")
    times.append(now_ms())
    cluster.produce("ends", 0, b"three", asked=new)
    for offset, of in enumerate((before["epoch"], before["epoch"], epoch)):
        expect(list_offsets(cluster, new, 5, times[offset]), (0, offset, of), "by time")
    expect(list_offsets(cluster, new, 5, NEVER), (0, -1, -1), "the time of nothing")


# ---- where to go instead ------------------------------------------------------------------------


def compact(text):
    return bytes([len(text) + 1]) + text.encode()


def skip_tagged_int32_pair(answer, wanted):
    """The tagged fields of a partition: those of CurrentLeader, which has the tag `wanted`."""
    pair = None
    for _ in range(answer.take("b")):
        tag, size = answer.take("bb")
        if tag == wanted:
            pair = answer.take("ii")
            size -= 8
        answer.at += size
    return pair


def endpoints(answer):
    """The tagged fields of a response: NodeEndpoints, as {node: port}."""
    found = {}
    for _ in range(answer.take("b")):
        answer.take("bb")  # tag and size
        for _ in range(answer.take("b") - 1):
            node = answer.take("i")
            answer.skip_compact()  # host
            found[node] = answer.take("i")
            answer.skip_compact()  # rack
            answer.take("b")
    return found


def produce_elsewhere(connection):
    """Produce v10 with a record: (error, (leader, epoch), endpoints)."""
    records = wire.batch(b"lost its way")
    body = b"\0\0" + struct.pack(">hi", -1, 5000) + b"\2" + compact("alone") + b"\2"
    body += struct.pack(">ib", 0, len(records) + 1) + records + b"\0\0\0"
    answer = wire.Reader(wire.request(connection, 0, 10, body))
    answer.take("bb")  # tags of the head, one topic
    answer.skip_compact()
    _, _, error, _, _, _ = answer.take("bihqqq")
    answer.take("b")  # no record errors
    answer.skip_compact()
    leader = skip_tagged_int32_pair(answer, 0)
    answer.take("bi")  # tags of the topic, throttle
    return error, leader, endpoints(answer)


def topic_id(connection):
    """Of "alone": Metadata v10."""
    body = b"\0\2" + bytes(16) + compact("alone") + b"\0\0\0\0\0"
    answer = wire.request(connection, 3, 10, body)
    at = answer.index(compact("alone")) + len(compact("alone"))
    return answer[at:at + 16]


def fetch_elsewhere(connection, id_):
    """Fetch v16 from its start: (error, (leader, epoch), endpoints)."""
    body = b"\0" + struct.pack(">iiibii", 100, 1, 1 << 20, 0, 0, -1) + b"\2" + id_ + b"\2"
    body += struct.pack(">iiqiqi", 0, -1, 0, -1, -1, 1 << 20) + b"\0\0\1\1\0"
    answer = wire.Reader(wire.request(connection, 1, 16, body))
    answer.take("bihib")  # tags of the head, throttle, error, session, one topic
    answer.at += 16
    _, _, error, _, _, _ = answer.take("bihqqq")
    answer.take("bib")  # aborted transactions, preferred replica, no records
    leader = skip_tagged_int32_pair(answer, 1)
    answer.take("b")
    return error, leader, endpoints(answer)


def who_does_not_lead_points_to_who_does(test):
    cluster = test.cluster
    cluster.start()
    cluster.make_topic("alone", 1, replication=1)  # from followers a consumer may fetch
    partition = cluster.partitions("alone")[0]
    leader = partition["leader"]
    wanted = (6, (leader, partition["epoch"]), {leader: cluster[leader].port})
    for node in cluster.nodes:
        if node == leader:
            continue
        with cluster.connect(node) as connection:
            expect(produce_elsewhere(connection), wanted, "Produce to node %d" % node)
            expect(fetch_elsewhere(connection, topic_id(connection)), wanted,
                   "Fetch from node %d" % node)


ALL = [a_new_leader_tells_no_end_before_it_knows_it, who_does_not_lead_points_to_who_does]
