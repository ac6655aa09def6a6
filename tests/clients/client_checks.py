"""What every client has to do with a cluster of three: the rows of docs/clients.md.

A check gets a Bench and raises Failed, or Unsupported where the client has no call for it."""

import struct
import time
import uuid

import groups
import wire
from broker import Failed, wait_until
from client_programs import Program, Unsupported

PARTITIONS = 6
DAY_MS = 86400000


def number_of(record):
    """<n> and dots, or FROM.(n - FROM)."""
    begin, _, more = record.value.partition(".")
    return int(begin) + int(more.strip(".") or 0)


def expect(condition, what, *values):
    if not condition:
        raise Failed(what % values if values else what)


class Bench:
    """One client beside the cluster. Programs that a check leaves behind are ended after it."""

    def __init__(self, client, cluster, log):
        self.client = client
        self.cluster = cluster
        self.log = log
        self.programs = []
        self.time = int(time.time() * 1000) - DAY_MS  # of record 0
        self.idle = None

    @property
    def bootstrap(self):
        return ",".join(broker.bootstrap for broker in self.cluster.nodes.values())

    def program(self):
        self.programs.append(Program(self.client, self.bootstrap, self.log))
        return self.programs[-1]

    def ask(self, *words, **options):
        """Of one program that goes from check to check."""
        if self.idle is None or self.idle.ended:
            self.idle = Program(self.client, self.bootstrap, self.log)
        return self.idle.ask(*words, **options)

    def clean(self, failed):
        for program in self.programs:
            program.kill() if failed else program.close()
        self.programs = []
        if failed and self.idle:
            self.idle.kill()
            self.idle = None

    def close(self):
        self.clean(False)
        if self.idle:
            self.idle.close()

    def topic(self, name, partitions=PARTITIONS):
        topic = "%s-%s" % (name, uuid.uuid4().hex[:8])
        self.cluster.make_topic(topic, partitions)
        return topic

    def produce(self, topic, begin, end, codec="none", how="plain", pause=0, partitions=PARTITIONS,
                seconds=60):
        self.ask("produce", topic, partitions, codec, begin, end, self.time, how, pause,
                 seconds=seconds)

    def consume(self, topic, n, partitions=PARTITIONS):
        self.ask("consume", topic, partitions, n)
        return self.idle.records()

    def member(self, group, topic, assignor="range", instance="-"):
        program = self.program()
        program.begin("member", group, topic, assignor, instance)
        return program

    def leader(self, topic, partition=0):
        return self.cluster.partitions(topic)[partition]["leader"]

    def compare(self, records, numbers, partitions=PARTITIONS):
        """Each number once, unchanged, in order within its partition."""
        found = [number_of(r) for r in records]
        lost, more = set(numbers) - set(found), set(found) - set(numbers)
        expect(not lost and not more, "lost: %s, nobody sent: %s", sorted(lost)[:5],
               sorted(more)[:5])
        expect(len(found) == len(set(found)), "records that came twice")
        for n, record in zip(found, records):
            wanted = (n % partitions, self.time + n, "k%d" % n, "%d%s" % (n, "." * 100), "n=%d" % n)
            got = (record.partition, record.time, record.key, record.value, record.header)
            expect(got == wanted or not self.client.free, "record %d came back as %s", n, got)
        for p in range(partitions):
            mine = [number_of(r) for r in records if r.partition == p]
            expect(mine == sorted(mine), "partition %d is in another order", p)

    def stored(self, topic):
        """(codec, producer id, records) of each batch of partition 0, in the leader's log."""
        found = []
        with self.cluster.connect(self.leader(topic)) as connection:
            data = wire.fetch(connection, topic, 0, 0)
        while len(data) >= 61:
            length = struct.unpack(">i", data[8:12])[0]
            attributes = struct.unpack(">h", data[21:23])[0]
            producer, _, _, count = struct.unpack(">qhii", data[43:61])
            found.append((wire.CODECS[attributes & 7], producer, count))
            data = data[12 + length:]
        return found


# ---- records ------------------------------------------------------------------------------------


def codec(name):
    def check(bench):
        topic = bench.topic(name, 3)
        bench.produce(topic, 0, 300, name, partitions=3)
        bench.compare(bench.consume(topic, 300, 3), range(300), 3)
        codecs = {found for found, _, count in bench.stored(topic) if count >= 10}
        expect(codecs == {name}, "stored with %s", sorted(codecs))
    return check


def idempotent(bench):
    topic = bench.topic("idempotent")
    bench.produce(topic, 0, 300, how="idempotent")
    bench.compare(bench.consume(topic, 300), range(300))
    expect(all(producer >= 0 for _, producer, _ in bench.stored(topic)), "without a producer id")


def leader_dies(bench):
    """While it writes a record every other millisecond: none is lost, none is there twice."""
    if len(bench.cluster.nodes) == 1:
        raise Unsupported("there is only one node")
    topic, n = bench.topic("dies"), 1000
    victim = bench.leader(topic)
    program = bench.program()
    program.begin("produce", topic, PARTITIONS, "none", 0, n, bench.time, "idempotent", 2)
    cluster = bench.cluster

    def written():
        with cluster.connect(bench.leader(topic)) as connection:
            return len(wire.fetch(connection, topic, 0, 0)) > 0
    try:
        wait_until(written, 30, "the first record is written")
        time.sleep(0.3)
        cluster[victim].kill()
        program.finish("all is acknowledged although a leader died", 90)
    finally:
        if not cluster[victim].alive():
            cluster.start([victim])
        cluster.wait_for_isr(topic, 3)
    bench.compare(bench.consume(topic, n), range(n))


def seek_by_time(bench):
    topic = bench.topic("time", 1)
    bench.produce(topic, 0, 100, partitions=1)
    for number in (0, 41, 99):
        bench.ask("seek", topic, 0, bench.time + number)
        found, = bench.idle.records()
        expect((found.offset, number_of(found)) == (number, number), "%d: found %s", number, found)


# ---- groups -------------------------------------------------------------------------------------


def current(member):
    return (member.assignments() or [set()])[-1]


def share(members, seconds=60):
    """Until the members have every partition, each of them once, and none has nothing."""
    def shared():
        for member in members:
            expect(not member.ended, "a member ended with %s", member.process.poll())
            if member.lines and member.lines[-1][0] == "unsupported":
                member.finish("a member joins")
        have = [p for member in members for p in current(member)]
        return sorted(have) == list(range(PARTITIONS)) and all(map(current, members))
    try:
        wait_until(shared, seconds, "shared by %d members" % len(members), pause=0.05)
    except Failed as failure:
        raise Failed("%s; they have %s" % (failure, [sorted(current(m)) for m in members]))


def numbers(members):
    return {number_of(r) for member in members for r in member.records()}


def committed(bench, group, topic):
    """Of each partition, asked by hand: OffsetFetch of the group's coordinator."""
    found = {}
    coordinator = groups.Coordinator(bench.cluster, group)
    try:
        for p in range(PARTITIONS):
            found[p] = max(coordinator.ask(groups.committed, topic, p)[1], 0)
    finally:
        coordinator.close()
    return found


def staggered(bench, assignor="range"):
    """Three members come one by one and go; everything is read, and committed. Returns what the
    first one had, until it went."""
    topic, group = bench.topic("group"), "group-" + uuid.uuid4().hex[:8]
    members = []
    for n in range(3):
        members.append(bench.member(group, topic, assignor))
        share(members)
        bench.produce(topic, n * 60, n * 60 + 60)
    everybody = list(members)
    wait_until(lambda: numbers(everybody) >= set(range(180)), 30, "all is read")
    history = everybody[0].assignments()
    members.pop(0).leave()
    share(members)
    bench.produce(topic, 180, 240)
    members.pop(1).kill()  # without a word: the session runs out
    share(members)
    bench.produce(topic, 240, 300)
    wait_until(lambda: sum(committed(bench, group, topic).values()) == 300, 30,
               "all is committed")
    kept = numbers(everybody)
    expect(kept == set(range(300)), "never read: %s", sorted(set(range(300)) - kept)[:10])
    members[0].leave()
    return history


def cooperative(bench):
    """As above; and who stays keeps partitions all the time while others come."""
    had = staggered(bench, "cooperative")
    since = had[had.index(set(range(PARTITIONS))):]
    expect(min(map(len, since)) >= 2, "the first member had %s", [sorted(some) for some in since])


def static(bench):
    """A static member is killed and comes back: it has what it had, and the others hear nothing."""
    topic, group = bench.topic("static"), "static-" + uuid.uuid4().hex[:8]
    members = [bench.member(group, topic, instance="i%d" % n) for n in range(3)]
    share(members)
    heard = [len(member.assignments()) for member in members]
    had = current(members[1])
    members[1].kill()
    members[1] = bench.member(group, topic, instance="i1")
    wait_until(lambda: current(members[1]) == had, 30, "it has what it had")
    bench.produce(topic, 0, 60)
    wait_until(lambda: numbers(members) == set(range(60)), 30, "all is read")
    for n in (0, 2):
        now = len(members[n].assignments())
        expect(now == heard[n], "member %d heard of %d rebalances", n, now - heard[n])
    for member in members:
        member.leave()


def resume(bench):
    topic, group = bench.topic("resume"), "resume-" + uuid.uuid4().hex[:8]
    for begin in (0, 60, 120):
        bench.produce(topic, begin, begin + 60)
        member = bench.member(group, topic)
        wait_until(lambda: len(numbers([member])) >= 60, 60, "60 records are read")
        member.leave()
        bench.compare(member.records(), range(begin, begin + 60))


def coordinator_dies(bench):
    """Under two members, who go on: everything is read, and committed."""
    cluster = bench.cluster
    if len(cluster.nodes) == 1:
        raise Unsupported("there is only one node")
    topic, group = bench.topic("orphans"), "orphans-" + uuid.uuid4().hex[:8]
    members = [bench.member(group, topic) for _ in range(2)]
    share(members)
    bench.produce(topic, 0, 60)
    wait_until(lambda: numbers(members) == set(range(60)), 30, "all is read before")
    coordinator = groups.Coordinator(cluster, group)
    wait_until(coordinator.look, 10, "there is a coordinator")
    coordinator.close()
    victim = coordinator.node
    try:
        cluster[victim].kill()
        bench.produce(topic, 60, 120)
        wait_until(lambda: numbers(members) == set(range(120)), 60, "all is read after it died")
        wait_until(lambda: sum(committed(bench, group, topic).values()) == 120, 30,
                   "all is committed")
    finally:
        cluster.start([victim])
        cluster.wait_for_isr(topic, 3)
    share(members)
    for member in members:
        member.leave()


# ---- administration -----------------------------------------------------------------------------


def refused(bench, *words):
    try:
        bench.ask(*words)
    except Failed as failure:
        return str(failure)
    raise Failed("%s was not refused" % " ".join(map(str, words)))


def until(bench, wanted, *words, seconds=20):
    """Asks until the answer is the one wanted: clients keep what they knew for a while."""
    said = None

    def right():
        nonlocal said
        said = bench.ask(*words)
        return said == wanted if isinstance(wanted, list) else wanted(said)
    try:
        wait_until(right, seconds, words[0], pause=0.2)
    except Failed:
        raise Failed("%s gave %s" % (" ".join(map(str, words)), said))


def topics(bench):
    topic = "admin-" + uuid.uuid4().hex[:8]
    nodes = len(bench.cluster.nodes)
    bench.ask("create-topic", topic, 4, nodes)
    until(bench, [["4", str(nodes)]], "describe-topic", topic)
    expect([topic] in bench.ask("list-topics"), "it is not listed")
    refused(bench, "create-topic", topic, 4, nodes)


def configs(bench):
    topic = bench.topic("configs", 1)
    bench.ask("set-config", topic, "retention.ms", 123456789)
    until(bench, [["123456789"]], "get-config", topic, "retention.ms")
    expect(bench.ask("get-config", topic, "cleanup.policy") == [["delete"]], "cleanup.policy")
    refused(bench, "set-config", topic, "segment.bytes", 1)


def more_partitions(bench):
    topic = bench.topic("more", 2)
    bench.ask("add-partitions", topic, PARTITIONS)
    nodes = len(bench.cluster.nodes)
    until(bench, [[str(PARTITIONS), str(nodes)]], "describe-topic", topic)
    bench.produce(topic, 0, 60)
    bench.compare(bench.consume(topic, 60), range(60))
    refused(bench, "add-partitions", topic, 3)


def delete_records(bench):
    topic = bench.topic("trim", 1)
    bench.produce(topic, 0, 60, partitions=1)
    bench.ask("delete-records", topic, 0, 40)
    bench.compare(bench.consume(topic, 20, 1), range(40, 60), 1)


def delete_topic(bench):
    topic = bench.topic("gone", 2)
    bench.ask("delete-topic", topic)
    until(bench, lambda listed: [topic] not in listed, "list-topics")


def a_group(bench):
    """A group with one member that has read and committed 60 records."""
    topic, group = bench.topic("grouped"), "grouped-" + uuid.uuid4().hex[:8]
    bench.produce(topic, 0, 60)
    member = bench.member(group, topic)
    share([member])
    wait_until(lambda: sum(committed(bench, group, topic).values()) == 60, 30, "it commits")
    return topic, group, member


def describe_groups(bench):
    _, group, member = a_group(bench)
    until(bench, lambda listed: [group] in listed, "list-groups")
    until(bench, lambda said: [word.lower() for word in said[0]] == ["stable", "1"],
          "describe-group", group)
    member.leave()
    until(bench, lambda said: [word.lower() for word in said[0]] == ["empty", "0"],
          "describe-group", group)


def group_offsets(bench):
    topic, group, member = a_group(bench)
    said = bench.ask("committed", group, topic)
    right = committed(bench, group, topic)
    expect(sorted(said) == [[str(p), str(right[p])] for p in sorted(right) if right[p] > 0],
           "committed: %s", said)
    member.leave()
    partition, end = max(right.items(), key=lambda pair: pair[1])
    bench.ask("set-offset", group, topic, partition, end - 6)
    said = bench.ask("committed", group, topic)
    expect([str(partition), str(end - 6)] in said, "set to %d, but: %s", end - 6, said)
    again = bench.member(group, topic)
    wait_until(lambda: len(again.records()) >= 6, 30, "six records are read again")
    found = [(r.partition, r.offset) for r in again.records()]
    expect(found == [(partition, end - 6 + n) for n in range(6)], "read again: %s", found)
    again.leave()


def delete_group(bench):
    _, group, member = a_group(bench)
    refused(bench, "delete-group", group)
    member.leave()
    bench.ask("delete-group", group)
    until(bench, lambda listed: [group] not in listed, "list-groups")


CHECKS = [
    *(("codec %s" % name, codec(name)) for name in wire.CODECS),
    ("idempotent, acks=all", idempotent),
    ("a leader dies meanwhile", leader_dies),
    ("seek by time", seek_by_time),
    ("group of three", staggered),
    ("cooperative", cooperative),
    ("static members", static),
    ("commit and resume", resume),
    ("a coordinator dies", coordinator_dies),
    ("create topic, describe, list", topics),
    ("configs", configs),
    ("add partitions", more_partitions),
    ("delete records", delete_records),
    ("delete topic", delete_topic),
    ("list, describe groups", describe_groups),
    ("group offsets", group_offsets),
    ("delete group", delete_group),
]
