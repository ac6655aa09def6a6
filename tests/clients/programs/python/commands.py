"""The command loop of the clients in Python; client_programs.py says what the commands are."""

import queue
import sys
import threading


class Unsupported(Exception):
    """The client has no call for that."""


LINES = queue.Queue()  # of the standard input; None at its end


def _read():
    for line in sys.stdin:
        LINES.put(line.split())
    LINES.put(None)


def say(*words):
    """In one piece: some clients call back from a thread of their own."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def told_to_leave():
    return not LINES.empty()


def record(partition, offset, time, key, value, headers):
    name, header = headers[0]
    say("record", partition, offset, time, key.decode(), value.decode(),
        "%s=%s" % (name, header.decode()))


def records(begin, end, time, partitions):
    """What is to be produced: partition, time, key, value, headers."""
    for n in range(begin, end):
        yield (n % partitions, time + n, b"k%d" % n, b"%d%s" % (n, b"." * 100),
               [("n", b"%d" % n)])


def take():
    """The next command, None at the end. A "leave" that came too late is none."""
    while True:
        words = LINES.get()
        if not words or words[0] != "leave":
            return words or None


def answer(handler, *words):
    """Runs a command that is no coroutine."""
    try:
        handler(*words)
        say("ok")
    except Unsupported as reason:
        say("unsupported", reason)
    except Exception as failure:  # whatever a client throws is the answer
        say("error", type(failure).__name__, str(failure).replace("\n", " "))


def start():
    threading.Thread(target=_read, daemon=True).start()


def serve(handlers):
    """Runs commands until there are no more."""
    start()
    while True:
        words = take()
        if words is None:
            return
        answer(handlers[words[0]], *words[1:])
