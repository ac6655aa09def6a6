"""One Produce request by hand: a client library would hide the error code behind retries."""

import socket
import struct
import time

from wire import request, string


def _crc32c_table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _varint(n):
    n = n << 1 ^ n >> 63
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _batch(value):
    """A record batch of one record without a key."""
    record = b"\0" + _varint(0) + _varint(0) + _varint(-1)  # attributes, time, offset, no key
    record += _varint(len(value)) + value + _varint(0)
    record = _varint(len(record)) + record
    now_ms = int(time.time() * 1000)
    body = struct.pack(">hiqqqhii", 0, 0, now_ms, now_ms, -1, -1, -1, 1) + record
    return struct.pack(">qiibI", 0, len(body) + 9, -1, 2, crc32c(body)) + body


def produce(port, topic, partition, value, seconds=10):
    """Sends one record with acks=all (Produce version 3); the error code of the answer."""
    batch = _batch(value)
    body = struct.pack(">hhi", -1, -1, int(seconds * 1000))  # no transaction, acks=all
    body += struct.pack(">i", 1) + string(topic) + struct.pack(">iii", 1, partition, len(batch))
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        answer = request(connection, 0, 3, body + batch)
    at = 4 + 2 + len(topic) + 4 + 4  # topics, name, partitions, partition
    return struct.unpack(">h", answer[at:at + 2])[0]
