"""Judges a history: what clients were told, and what must follow from it.

A key is one partition; every value is sent once to one key. What cannot be:

    lost           acknowledged by all in-sync replicas, and not there in the end
    vanished       somebody has read it, and it is not there in the end
    inconsistent   two values at one offset: acknowledged, read, or there in the end
    repeated       a value of an idempotent producer at two offsets
    reordered      a value in front of one that was acknowledged or read before it was sent, or of
                   one that the same idempotent producer sent earlier
    invented       a value that nobody sent to that key
    damaged        a record whose bytes are not what was sent
    gap            an offset without a record between the first and the last one
    skipped        a consumer that reads along goes backwards, or leaves something out
    broken         a client gave up: a fatal error, or a position that is no longer there
    unread         there is no last reading of a key that was written to

What was sent and never acknowledged may be there or not. Without idempotence a client may repeat
records, and swap those that are under way at the same time: it sends to a new leader what comes
next while it still waits for the old one. The file is read in the order of its
lines, which is that of real time: one thread has written it.
"""

import json

KINDS = ("lost", "vanished", "inconsistent", "repeated", "reordered", "invented", "damaged", "gap",
         "skipped", "broken", "unread")
EXAMPLES = 5
DAMAGED = -1


class Key:
    """One partition."""

    def __init__(self):
        self.sent = {}       # value: (process, largest offset that was known to be there by then)
        self.acked = {}      # value: time of the acknowledgement
        self.seen = {}       # offset: value, as acknowledged or read
        self.read = {}       # offset: time when somebody first read it
        self.final = {}      # offset: value, as the last reading found it
        self.known_end = -1  # largest offset that was acknowledged or read


class Check:
    """Feed it with operations, then finish(); `faults` has what is wrong, by kind."""

    def __init__(self):
        self.keys = {}
        self.idempotent = {}  # process: does its producer promise once and in order?
        self.position = {}    # (consumer, key): offset of the last record it read
        self.faults = {kind: [] for kind in KINDS}
        self.n_sent = self.n_acked = self.n_read = self.n_unknown = 0
        self.n_ended = 0  # clients that gave up for a reason of their own

    def key(self, k):
        return self.keys.setdefault(k, Key())

    def fault(self, kind, time, form, *values):
        self.faults[kind].append((time, form % values))

    # ---- operations, in the order of time -------------------------------------------------------

    def take(self, op):
        handler = getattr(self, "take_%s_%s" % (op["f"], op["type"]), None)
        if handler is not None:
            handler(op)
        elif op["type"] == "fail":
            self.fault("broken", op["time"], "process %d, %s: %s", op["process"], op["f"],
                       op.get("error"))

    def take_begin_info(self, op):
        self.idempotent[op["process"]] = op["value"].get("idempotent", False)

    def take_end_info(self, op):
        self.n_ended += 1

    def take_send_invoke(self, op):
        for _, k, value in op["value"]:
            key = self.key(k)
            key.sent[value] = op["process"], key.known_end
            self.n_sent += 1

    def take_send_ok(self, op):
        for _, k, (offset, value) in op["value"]:
            key = self.key(k)
            key.acked[value] = op["time"]
            self.n_acked += 1
            if offset is not None:
                self.see(k, key, offset, value, op)

    def take_send_info(self, op):
        self.n_unknown += len(op["value"])

    def take_poll_ok(self, op):
        for _, k, records in op["value"]:
            key = self.key(k)
            for offset, value in records:
                self.n_read += 1
                self.follow(k, offset, op)
                key.read.setdefault(offset, op["time"])
                self.see(k, key, offset, value, op)

    def take_final_ok(self, op):
        for _, k, records in op["value"]:
            key = self.key(k)
            for offset, value in records:
                self.follow(k, offset, op)
                self.see(k, key, offset, value, op)
                key.final[offset] = value

    def see(self, k, key, offset, value, op):
        """A value lies at an offset, as somebody was told."""
        if value == DAMAGED:
            self.fault("damaged", op["time"], "key %d offset %d", k, offset)
            return
        before = key.seen.setdefault(offset, value)
        if before != value:
            self.fault("inconsistent", op["time"], "key %d offset %d: %d, and %d", k, offset,
                       before, value)
        if value not in key.sent:
            self.fault("invented", op["time"], "key %d offset %d: %d", k, offset, value)
        key.known_end = max(key.known_end, offset)

    def follow(self, k, offset, op):
        """A consumer reads one offset after the other."""
        at = op["process"], k
        last = self.position.get(at)
        if last is not None and offset != last + 1:
            kind = "gap" if op["f"] == "final" and offset > last else "skipped"
            self.fault(kind, op["time"], "process %d, key %d: offset %d behind %d", op["process"],
                       k, offset, last)
        self.position[at] = offset

    # ---- the end --------------------------------------------------------------------------------

    def finish(self):
        for k, key in sorted(self.keys.items()):
            if key.acked and not key.final:
                self.fault("unread", 0, "key %d: %d values were acknowledged", k, len(key.acked))
            else:
                self.finish_key(k, key)
        return self

    def finish_key(self, k, key):
        there = set(key.final.values())
        for value, time in key.acked.items():
            if value not in there:
                self.fault("lost", time, "key %d: %d", k, value)
        for offset, time in key.read.items():
            if offset not in key.final:
                self.fault("vanished", time, "key %d offset %d: %d", k, offset, key.seen[offset])
        self.check_order(k, key)

    def check_order(self, k, key):
        first, newest = {}, {}  # value: its first offset; process: the latest of its values so far
        rank = {value: i for i, value in enumerate(key.sent)}
        for offset, value in sorted(key.final.items()):
            if value not in rank:
                continue
            process, floor = key.sent[value]
            time = key.acked.get(value, 0)
            once = self.idempotent.get(process, False)
            if value in first:
                if once:
                    self.fault("repeated", time, "key %d: %d at offsets %d and %d", k, value,
                               first[value], offset)
                continue
            first[value] = offset
            if offset <= floor:
                self.fault("reordered", time, "key %d: %d at offset %d, sent when %d was known", k,
                           value, offset, floor)
            if once and rank[value] < newest.get(process, -1):
                self.fault("reordered", time, "key %d: %d at offset %d behind a later one of its "
                           "producer", k, value, offset)
            newest[process] = max(newest.get(process, -1), rank[value])

    # ---- the verdict ----------------------------------------------------------------------------

    @property
    def ok(self):
        return not any(self.faults.values())

    def summary(self):
        wrong = ", ".join("%s %d" % (kind, len(found)) for kind, found in self.faults.items()
                          if found)
        ended = "; producers replaced for faults of librdkafka: %d" % self.n_ended
        return "%d records acknowledged, %d unknown, %d read along: %s%s" % (
            self.n_acked, self.n_unknown, self.n_read, wrong or "all there, in order",
            ended if self.n_ended else "")

    def examples(self):
        for kind, found in self.faults.items():
            for time, text in found[:EXAMPLES]:
                yield time, "%s: %s" % (kind, text)
            if len(found) > EXAMPLES:
                yield 0, "%s: %d more" % (kind, len(found) - EXAMPLES)


def check_operations(operations):
    check = Check()
    for op in operations:
        check.take(op)
    return check.finish()


def check_file(path):
    with open(path) as file:
        return check_operations(map(json.loads, file))
