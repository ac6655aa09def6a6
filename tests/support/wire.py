"""A few requests by hand, for what no client shows: which codec the stored batches have."""

import socket
import struct

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
    body = struct.pack(">iiiib", -1, 100, 1, max_bytes, 0) + struct.pack(">i", 1) + string(topic)
    body += struct.pack(">iiqi", 1, partition, offset, max_bytes)
    answer = request(connection, 1, 4, body)
    at = 4 + 4 + 2 + len(topic) + 4 + 4  # throttle, topics, name, partitions, partition
    error, _, _, aborted = struct.unpack(">hqqi", answer[at:at + 22])
    assert error == 0, "fetch: error %d" % error
    at += 22 + 16 * max(aborted, 0)
    length = struct.unpack(">i", answer[at:at + 4])[0]
    return answer[at + 4:at + 4 + length]


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
