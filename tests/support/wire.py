"""A few requests by hand, for what no client shows: which codec the stored batches have, what each
node of a cluster says by itself, when exactly the first record is acknowledged again."""

import socket
import struct
import time

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def connect(bootstrap):
    host, port = bootstrap.rsplit(":", 1)
    return socket.create_connection((host, int(port)), 30)


def read_exactly(connection, n):
    data = b""
    while len(data) < n:
        part = connection.recv(n - len(data))
        if not part:
            raise OSError("the broker closed the connection")
        data += part
    return data


def request(connection, key, version, body):
    """Sends one request with an old-style header; the body of the answer."""
    message = struct.pack(">hhih4s", key, version, 7, 4, b"test") + body
    connection.sendall(struct.pack(">i", len(message)) + message)
    answer = read_exactly(connection, struct.unpack(">i", read_exactly(connection, 4))[0])
    assert struct.unpack(">i", answer[:4])[0] == 7
    return answer[4:]


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def fetch(connection, topic, partition, offset, max_bytes=64 << 20):
    """Fetch v4 of one partition: the bytes of its batches."""
    error, data = try_fetch(connection, topic, partition, offset, max_bytes)
    assert error == 0, "fetch: error %d" % error
    return data


def try_fetch(connection, topic, partition, offset, max_bytes=64 << 20):
    """Fetch v4 of one partition: the error code and the bytes of its batches."""
    body = struct.pack(">iiiib", -1, 100, 1, max_bytes, 0) + struct.pack(">i", 1) + string(topic)
    body += struct.pack(">iiqi", 1, partition, offset, max_bytes)
    answer = request(connection, 1, 4, body)
    at = 4 + 4 + 2 + len(topic) + 4 + 4  # throttle, topics, name, partitions, partition
    error, _, _, aborted = struct.unpack(">hqqi", answer[at:at + 22])
    at += 22 + 16 * max(aborted, 0)
    length = struct.unpack(">i", answer[at:at + 4])[0]
    return error, answer[at + 4:at + 4 + max(length, 0)]


def batches(bootstrap, topic, partition=0):
    """Every batch of a partition: (first offset, codec, records)."""
    found, offset = [], 0
    with connect(bootstrap) as connection:
        while True:
            data = fetch(connection, topic, partition, offset)
            if not data:
                return found
            while len(data) >= 61:
                base, length = struct.unpack(">qi", data[:12])
                if len(data) < 12 + length:
                    break
                attributes, last = struct.unpack(">hi", data[21:27])
                count = struct.unpack(">i", data[57:61])[0]
                found.append((base, CODECS[attributes & 7], count))
                offset = base + last + 1
                data = data[12 + length:]


class Reader:
    """Takes an answer apart."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def string(self):
        length = self.take("h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def skip_compact(self):
        length = self.take("b") - 1
        self.at += max(length, 0)

    def array(self, item):
        return [item() for _ in range(self.take("i"))]

    def ids(self):
        return self.array(lambda: self.take("i"))


def metadata(connection, topics=None):
    """Metadata v7: {"brokers": {id: port}, "controller": id, "topics": {name: {partition: {...}}}}.
    `topics` None: all."""
    names = -1 if topics is None else len(topics)
    body = struct.pack(">i", names) + b"".join(map(string, topics or [])) + b"\0"
    answer = Reader(request(connection, 3, 7, body))

    def broker():
        node, _, port, _ = answer.take("i"), answer.string(), answer.take("i"), answer.string()
        return node, port

    def partition():
        error, index, leader, epoch = answer.take("hiii")
        return index, {"error": error, "leader": leader, "epoch": epoch,
                       "replicas": answer.ids(), "isr": answer.ids(), "offline": answer.ids()}

    def topic():
        _, name, _ = answer.take("h"), answer.string(), answer.take("b")
        return name, dict(answer.array(partition))

    answer.take("i")
    brokers = dict(answer.array(broker))
    _, controller = answer.string(), answer.take("i")
    return {"brokers": brokers, "controller": controller, "topics": dict(answer.array(topic))}


def create_topic(connection, name, partitions, replication, configs=None, timeout_ms=10000):
    """CreateTopics v4: the error code."""
    body = struct.pack(">i", 1) + string(name) + struct.pack(">ihi", partitions, replication, 0)
    body += struct.pack(">i", len(configs or {}))
    for key, value in (configs or {}).items():
        body += string(key) + string(value)
    answer = Reader(request(connection, 19, 4, body + struct.pack(">ib", timeout_ms, 0)))
    answer.take("ii")
    answer.string()
    return answer.take("h")


def reassign(connection, topic, moves):
    """AlterPartitionReassignments v0 of {partition: replicas or None}: error codes by partition."""
    def compact(items):
        return bytes([len(items) + 1]) + b"".join(items)

    def partition(index, replicas):
        ids = b"\0" if replicas is None else compact([struct.pack(">i", r) for r in replicas])
        return struct.pack(">i", index) + ids + b"\0"

    name = topic.encode()
    parts = compact([partition(*move) for move in moves.items()])
    body = struct.pack(">i", 10000) + compact([bytes([len(name) + 1]) + name + parts + b"\0"])
    answer = Reader(request(connection, 45, 0, b"\0" + body + b"\0"))  # tags of the head, too
    answer.take("bih")
    assert answer.take("bb")[0] == 0, "it has a message"
    answer.skip_compact()  # the name
    errors = {}
    for _ in range(answer.take("b") - 1):
        index, error = answer.take("ih")
        answer.skip_compact()  # the message
        answer.take("b")
        errors[index] = error
    return errors


def elect_preferred(connection):
    """ElectLeaders v1 of the preferred leaders of all partitions: the error code."""
    answer = Reader(request(connection, 43, 1, struct.pack(">bii", 0, -1, 10000)))
    return answer.take("ih")[1]


def make_crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC32C = make_crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(value):
    """A small positive number, zigzag-encoded."""
    value <<= 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def batch(value):
    """A batch of one record without a producer id."""
    record = b"\0\0\0\1" + varint(len(value)) + value + b"\0"
    record = varint(len(record)) + record
    now_ms = int(time.time() * 1000)
    rest = struct.pack(">hiqqqhii", 0, 0, now_ms, now_ms, -1, -1, -1, 1) + record
    return struct.pack(">qiibI", 0, 9 + len(rest), -1, 2, crc32c(rest)) + rest


def produce(connection, topic, partition, records, acks=-1, timeout_ms=5000):
    """Produce v7 of one batch: the error code and the base offset."""
    body = struct.pack(">hhi", -1, acks, timeout_ms) + struct.pack(">i", 1) + string(topic)
    body += struct.pack(">iii", 1, partition, len(records)) + records
    answer = Reader(request(connection, 0, 7, body))
    answer.take("i")
    answer.string()
    _, _, error, offset = answer.take("iihq")
    return error, offset


def values(connection, topic, partition):
    """The values of all records of a partition whose batches are not compressed."""
    found, offset = [], 0
    while True:
        data = fetch(connection, topic, partition, offset)
        if not data:
            return found
        while len(data) >= 61:
            base, length = struct.unpack(">qi", data[:12])
            if len(data) < 12 + length:
                break
            offset = base + struct.unpack(">i", data[23:27])[0] + 1
            found += batch_values(data[61:12 + length])
            data = data[12 + length:]


def batch_values(records):
    at, found = 0, []

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = records[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)

    while at < len(records):
        end = number() + at
        at += 1  # attributes
        number(), number()  # deltas of time stamp and offset
        key = number()
        at += max(key, 0)
        length = number()
        found.append(records[at:at + length] if length >= 0 else None)
        at = end
    return found
