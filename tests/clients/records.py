"""The records that every client has to bring there and back, and how they are compared.

A record is (id, key, value, headers). The id also stands in a header, since keys and values may be
null. Only clients without headers put it elsewhere."""

import os
import sys

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
MIB = 1 << 20


def sample(n=500):
    """Ordinary ones, and the special cases."""
    records = [("r%05d" % i, b"key-%d" % (i % 7), b"value %d " % i * (1 + i % 9),
                [("n", b"%d" % i)]) for i in range(n)]
    records += [
        ("null-key", None, b"a value without a key", []),
        ("null-value", b"a key without a value", None, []),
        ("null-both", None, None, []),
        ("empty", b"", b"", []),
        ("binary", bytes(range(256)), bytes(reversed(range(256))) * 3, []),
        ("utf-8", "Schl\u00fcssel".encode(), "\u6f22\u5b57".encode(), [("\u00fc", b"\xff\x00")]),
        ("headers", b"k", b"v", [("twice", b"1"), ("twice", b"2"), ("null", None), ("", b"")]),
        ("one-mib", b"big", os.urandom(MIB // 2) + b"x" * (MIB // 2), []),
    ]
    return [(id_, key, value, [("id", id_.encode())] + headers)
            for id_, key, value, headers in records]


def identity(headers):
    return dict(headers)["id"].decode()


def compare(what, sent, got):
    """Both are lists of (id, key, value, headers) in order: the same ids, in the same order, each
    with the same content. Counts alone would not show a loss beside a duplicate."""
    sent_ids, got_ids = [r[0] for r in sent], [r[0] for r in got]
    problems = []
    if set(sent_ids) - set(got_ids):
        problems.append("lost: %s" % sorted(set(sent_ids) - set(got_ids))[:10])
    if set(got_ids) - set(sent_ids):
        problems.append("nobody sent: %s" % sorted(set(got_ids) - set(sent_ids))[:10])
    if len(got_ids) != len(set(got_ids)):
        problems.append("twice: %s" % sorted({i for i in got_ids if got_ids.count(i) > 1})[:10])
    if not problems and sent_ids != got_ids:
        problems.append("in another order")
    content = dict((r[0], r[1:]) for r in sent)
    for record in got:
        if record[0] in content and content[record[0]] != record[1:]:
            problems.append("%s came back changed: %.200r, not %.200r" % (
                record[0], record[1:], content[record[0]]))
    for problem in problems[:10]:
        print("%s: %s" % (what, problem))
    if problems:
        sys.exit(1)
    print("%s: %d records, each once, in order, unchanged" % (what, len(got)))


def check_codec(what, batches, codec):
    """A client that silently does without its codec shows here. Batches of a few records do not
    count: they are stored as they are when they would not become smaller."""
    codecs = {c for _, c, count in batches if count >= 10}
    if codecs != {codec}:
        print("%s: the stored batches are %s, not %s" % (what, sorted(codecs), codec))
        sys.exit(1)
