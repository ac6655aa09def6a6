"""Group requests by hand: what exactly the coordinators of a cluster answer, and when."""

import struct
import time

import wire

NONE = 0
# Errors that every client tries again, after it has looked for the coordinator.
TRY_AGAIN = {14: "COORDINATOR_LOAD_IN_PROGRESS", 15: "COORDINATOR_NOT_AVAILABLE",
             16: "NOT_COORDINATOR"}


def nullable(text):
    return b"\xff\xff" if text is None else wire.string(text)


def data(value):
    return struct.pack(">i", len(value)) + value


def find_coordinator(connection, group):
    """FindCoordinator v0: (error, node)."""
    return wire.Reader(wire.request(connection, 10, 0, wire.string(group))).take("hi")


def join(connection, group, member, session_ms=300000, instance=None):
    """JoinGroup v5: {"error", "generation", "leader", "member", "members"}."""
    body = wire.string(group) + struct.pack(">ii", session_ms, session_ms) + wire.string(member)
    body += nullable(instance) + wire.string("consumer") + struct.pack(">i", 1)
    body += wire.string("range") + data(b"\0\0\0\0\0\0\xff\xff\xff\xff")
    answer = wire.Reader(wire.request(connection, 11, 5, body))
    _, error, generation = answer.take("ihi")
    answer.string()
    leader, me = answer.string(), answer.string()

    def one():
        name, _, length = answer.string(), answer.string(), answer.take("i")
        answer.at += length
        return name
    return {"error": error, "generation": generation, "leader": leader, "member": me,
            "members": answer.array(one)}


def sync(connection, group, me, assignments):
    """SyncGroup v3: (error, assignment)."""
    body = wire.string(group) + struct.pack(">i", me["generation"]) + wire.string(me["member"])
    body += nullable(None) + struct.pack(">i", len(assignments))
    for member, what in assignments.items():
        body += wire.string(member) + data(what)
    answer = wire.Reader(wire.request(connection, 14, 3, body))
    _, error, length = answer.take("ihi")
    return error, answer.data[answer.at:answer.at + length]


def heartbeat(connection, group, me):
    """Heartbeat v3: the error."""
    body = wire.string(group) + struct.pack(">i", me["generation"]) + wire.string(me["member"])
    return wire.Reader(wire.request(connection, 12, 3, body + nullable(None))).take("ih")[1]


def commit(connection, group, topic, partition, offset, me=None):
    """OffsetCommit v7: the error of the one partition."""
    body = wire.string(group)
    body += struct.pack(">i", me["generation"] if me else -1)
    body += wire.string(me["member"] if me else "") + nullable(None)
    body += struct.pack(">i", 1) + wire.string(topic)
    body += struct.pack(">iiqi", 1, partition, offset, -1) + nullable("note")
    answer = wire.Reader(wire.request(connection, 8, 7, body))
    answer.take("ii")
    answer.string()
    return answer.take("iih")[2]


def committed(connection, group, topic, partition):
    """OffsetFetch v5: (error, offset)."""
    body = wire.string(group) + struct.pack(">i", 1) + wire.string(topic)
    answer = wire.Reader(wire.request(connection, 9, 5, body + struct.pack(">ii", 1, partition)))
    if answer.take("ii")[1] == 0:  # no topic: there is an error
        return answer.take("h"), -1
    answer.string()
    _, _, offset, _ = answer.take("iiqi")
    answer.string()
    error = answer.take("h")
    return answer.take("h") or error, offset


class Coordinator:
    """The coordinator of a group, whoever that is: looked for again when it is somebody else."""

    def __init__(self, cluster, group):
        self.cluster = cluster
        self.group = group
        self.node = None
        self.connection = None

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def look(self):
        """Asks any node that runs. False: nobody coordinates now."""
        return any(self.look_at(node) for node in self.cluster.running())

    def look_at(self, node):
        """Asks that one."""
        self.close()
        try:
            with self.cluster.connect(node) as connection:
                error, found = find_coordinator(connection, self.group)
            if error == NONE and found in self.cluster.running():
                self.node = found
                self.connection = self.cluster.connect(found)
                return True
        except OSError:
            pass
        return False

    def ask(self, what, *arguments, seconds=30):
        """Calls one of the functions above until its answer is not one to try again."""
        end = time.monotonic() + seconds
        said = "no coordinator"
        while time.monotonic() < end:
            try:
                if self.connection is not None or self.look():
                    answer = what(self.connection, self.group, *arguments)
                    error = answer["error"] if isinstance(answer, dict) else \
                        answer[0] if isinstance(answer, tuple) else answer
                    if error not in TRY_AGAIN:
                        return answer
                    said = TRY_AGAIN[error]
            except OSError as reason:
                said = str(reason)
            self.close()
            time.sleep(0.005)
        raise TimeoutError("group %s: %s" % (self.group, said))

    def become_member(self):
        """Joins alone and leads; returns what join() returned."""
        me = self.ask(join, "")
        if me["error"] == 79:  # MEMBER_ID_REQUIRED
            me = self.ask(join, me["member"])
        assert me["error"] == NONE, me
        error, got = self.ask(sync, me, {me["member"]: b"all"})
        assert (error, got) == (NONE, b"all"), (error, got)
        return me
