"""The rows of the benchmark: one function each, from a running broker to numbers.

A row gives {name of the number: value}; COLUMNS says which numbers are shown, in which unit,
whether more is better, and which first mark chronikd has to meet.
"""
import signal

# The batches of rows 1, 5, 6: value bytes, records of a batch, connections, requests in flight.
PRODUCE = {
    1: (1024, 15, 4, 5),
    2: (100, 1, 64, 1),
    5: (100, 1000, 1, 8),
    6: (1024, 1000, 1, 8),
    7: (100, 1, 64, 16),
    8: (100, 1, 1, 1),
}
HOT_MB = 200          # row 14: fits into the memory that holds the tail
TEN_THOUSAND = 10000  # rows 16 and 18


def produce(row):
    size, records, connections, inflight = PRODUCE[row]

    def run(broker, o):
        return broker.load("produce", "--topic", f"row{row}", "--size", size, "--records", records,
                           "--connections", connections, "--inflight", inflight,
                           "--ms", o.ms, "--warmup-ms", o.warmup_ms)
    return run


def rounds(broker, o):
    result = {}
    for n in (100, 1000):
        line = broker.load("round", "--topic", f"row13-{n}", "--partitions", n, "--ms", o.ms,
                           "--warmup-ms", o.warmup_ms)
        result[f"p50_ms_{n}"] = line["p50_us"] / 1e3
        result[f"p99_ms_{n}"] = line["p99_us"] / 1e3
        result["foreign_percent"] = line["foreign_percent"]
    return result


def hot_fetch(broker, o):
    # 1 MiB batches, 200 a second for a second: then read round and round.
    broker.load("produce", "--topic", "row14", "--size", 1024, "--records", 1000, "--rate", HOT_MB,
                "--ms", 1000, "--warmup-ms", 0)
    return broker.load("fetch", "--topic", "row14", "--loop", 1, "--ids", 0, "--ms", o.ms,
                       "--warmup-ms", o.warmup_ms)


def connections(broker, o):
    """A broker of its own: memory that an earlier load gave back would hide what these take."""
    broker.fresh()
    broker.start()
    held = broker.load("idle", "--count", o.idle_connections, "--ms", 1000, "--warmup-ms", 500)
    storm = broker.load("storm", "--connections", 64, "--ms", o.ms, "--warmup-ms", o.warmup_ms)
    broker.stop()
    return {"connections_s": storm["connections_s"], "bytes_each": held["bytes_each"],
            "foreign_percent": storm["foreign_percent"]}


def many_partitions(broker, o):
    """A broker of its own: 10,000 partitions, started again cleanly and after kill -9."""
    broker.fresh()
    broker.start()
    broker.load("create", "--topic", "row16", "--topics", 10, "--partitions", TEN_THOUSAND // 10)
    result = {"rss_mb": broker.memory_mb(), "idle_percent": broker.cpu_percent(o.idle_s)}
    broker.stop()
    result["warm_start_ms"] = broker.start("row16-0", TEN_THOUSAND // 10)
    broker.stop(signal.SIGKILL)
    result["crash_start_ms"] = broker.start("row16-0", TEN_THOUSAND // 10)
    broker.stop()
    return result


def start_empty(broker, o):
    broker.fresh()
    result = {"first_ack_ms": broker.start()}
    broker.stop()
    return result


def idle(broker, o):
    broker.fresh()
    broker.start()
    broker.cpu_percent(1)  # let it come to rest
    result = {"idle_percent": broker.cpu_percent(o.idle_s), "rss_mb": broker.memory_mb()}
    broker.stop()
    return result


# (row, title, function, on a broker that runs already, with the null sink too)
ROWS = [
    (1, "produce 1 KiB x 15, 4 conns x 5 in flight, acks=1", produce(1), True, True),
    (2, "produce one record, 64 conns", produce(2), True, True),
    (5, "produce 100 B x 1000, 1 conn x 8", produce(5), True, True),
    (6, "produce 1 KiB x 1000, 1 conn x 8", produce(6), True, True),
    (7, "produce one record, 64 conns x 16", produce(7), True, True),
    (8, "produce one record, 1 conn, closed loop", produce(8), True, True),
    (13, "a record to each of 100 and of 1,000 partitions", rounds, True, True),
    (14, "hot fetch of 1 MiB", hot_fetch, True, True),
    (16, "10,000 partitions", many_partitions, False, False),
    (18, "connections: a storm, and idle ones", connections, False, True),
    (19, "from an empty directory to the first ack", start_empty, False, False),
    (20, "one idle node", idle, False, False),
]

# row: (number, unit, factor, more is better, first mark or None)
COLUMNS = {
    1: [("cpu_s_gb", "CPU-s/GB", 1, False, 2.0), ("mb_s", "MB/s", 1, True, None),
        ("p99_us", "p99 us", 1, False, None)],
    2: [("cpu_s_m", "CPU-s/M", 1, False, 4.0), ("requests_s", "k requests/s", 1e-3, True, None),
        ("p99_us", "p99 us", 1, False, None)],
    5: [("records_s", "M records/s", 1e-6, True, None), ("cpu_s_gb", "CPU-s/GB", 1, False, None)],
    6: [("mb_s", "MB/s", 1, True, None), ("cpu_s_gb", "CPU-s/GB", 1, False, None)],
    7: [("requests_s", "k requests/s", 1e-3, True, 300), ("p50_us", "p50 us", 1, False, None),
        ("p99_us", "p99 us", 1, False, None)],
    8: [("p50_us", "p50 us", 1, False, "disk"), ("p99_us", "p99 us", 1, False, None),
        ("p99.9_us", "p99.9 us", 1, False, None), ("cpu_s_m", "CPU-s/M", 1, False, None)],
    13: [("p50_ms_100", "ms, 100", 1, False, 1.0), ("p99_ms_100", "p99 ms", 1, False, None),
         ("p50_ms_1000", "ms, 1,000", 1, False, 6.0), ("p99_ms_1000", "p99 ms", 1, False, None)],
    14: [("mb_s", "MB/s", 1, True, 2000), ("cpu_s_gb", "CPU-s/GB", 1, False, None)],
    16: [("rss_mb", "MB resident", 1, False, None), ("idle_percent", "% CPU", 1, False, None),
         ("warm_start_ms", "ms to start", 1, False, None),
         ("crash_start_ms", "ms, after kill -9", 1, False, None)],
    18: [("connections_s", "connections/s", 1, True, None),
         ("bytes_each", "bytes, idle", 1, False, None)],
    19: [("first_ack_ms", "ms", 1, False, 50)],
    20: [("rss_mb", "MB resident", 1, False, 15), ("idle_percent", "% CPU", 1, False, 0.2)],
}
