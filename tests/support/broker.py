"""Brokers that can be started, stopped and killed: chronikd, and Apache Kafka for comparison.

Every process is started by us, in a session of its own, and ended by its own id.
"""

import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import kafka_jars


class Failed(Exception):
    """A promise was broken, or the broker did not do what the test needs."""


class Skipped(Exception):
    """The machine does not allow this test; the message says what is missing."""


def free_ports(n):
    """Below those that the kernel gives to connections: nobody takes them by chance."""
    ports = set()
    while len(ports) < n:
        port = random.randrange(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                ports.add(port)
            except OSError:
                pass
    return sorted(ports)


def wait_until(condition, seconds, what, pause=0.01):
    """Waits for `condition()` to be true and returns what it gave."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed("%s: not within %d s" % (what, seconds))
        time.sleep(pause)


class Dump:
    """The output of `chronikd --dump-log … --records --json`."""

    def __init__(self, code, out, err):
        self.code = code
        self.err = err
        self.logs = {}     # "topic-0": what it says of the log, with its batches and records
        self.damage = []
        self.notes = []
        for line in map(json.loads, out.splitlines()):
            kind = line.pop("type")
            if kind == "log":
                log = {**line, "batches": [], "records": []}
                self.logs["%s-%d" % (line["topic"], line["partition"])] = log
            elif kind == "batch":
                log["batches"].append(line)
            elif kind == "record":
                log["records"].append(line)
            else:
                (self.damage if kind == "damage" else self.notes).append(line)

    def values(self, partition):
        """Offset -> value, of one partition; nothing where there is none."""
        log = self.logs.get(partition, {"records": []})
        return {record["offset"]: record["value"] for record in log["records"]}


class Broker:
    """One broker process over one data directory. Subclasses say how it is started."""

    start_seconds = 20
    name = None
    host = "127.0.0.1"

    def __init__(self, directory, work):
        self.directory = directory  # its data; may lie on a file system of its own
        self.work = work            # its output and properties
        self.process = None
        self.starts = 0
        self.prefix = []            # a tracer and its arguments
        self.inside = []            # a command that becomes the broker: with its process id

    def command(self):
        raise NotImplementedError

    def prepare(self):
        """Called before every start."""

    @property
    def bootstrap(self):
        return "%s:%d" % (self.host, self.port)

    @property
    def output_path(self):
        return os.path.join(self.work, "%s.%d.log" % (self.name, self.starts))

    def output(self):
        with open(self.output_path, errors="replace") as file:
            return file.read()

    def launch(self):
        """Starts the process and does not wait for it to serve."""
        self.starts += 1
        self.prepare()
        with open(self.output_path, "wb") as output:
            self.process = subprocess.Popen(self.inside + self.prefix + self.command(),
                                            stdout=output, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL, start_new_session=True,
                                            cwd=self.work)

    def start(self):
        self.launch()
        wait_until(lambda: self.serves() or not self.alive(), self.start_seconds,
                   "%s serves" % self.name)
        if not self.alive():
            raise Failed("%s ended with %s at its start; the end of %s:\n%s"
                         % (self.name, self.process.returncode, self.output_path,
                            self.output()[-2000:]))

    def serves(self):
        try:
            socket.create_connection((self.host, self.port), 1).close()
            return True
        except OSError:
            return False

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def pid(self):
        """Of the broker itself, also behind a tracer."""
        if not self.prefix:
            return self.process.pid
        children = "/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)
        with open(children) as file:
            pids = file.read().split()
        return int(pids[0]) if pids else None

    def is_paused(self):
        """By SIGSTOP."""
        with open("/proc/%d/stat" % self.pid(), encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"

    def kill(self):
        """SIGKILL, and waits until nothing of it is left."""
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                os.kill(self.pid() or self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def stop(self, seconds=60):
        """SIGTERM; the exit code."""
        os.kill(self.pid(), signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed("%s did not stop within %d s" % (self.name, seconds))
        self.process = None
        return code


ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


class Chronikd(Broker):
    """One node, as its command line makes it. The binary is the one given, $CHRONIKD, or the one
    that scripts/test builds."""

    name = "chronikd"
    start_seconds = 20
    stop_code = 0

    def __init__(self, directory, work, binary=None, overrides=None, io=None, node_id=1,
                 peers=None):
        super().__init__(directory, work)
        self.node_id = node_id
        self.peers = peers  # as for --peers; None: it is alone
        self.binary = os.path.abspath(binary or os.environ.get("CHRONIKD") or
                                      os.path.join(ROOT, "build/release/src/chronikd/chronikd"))
        if not os.access(self.binary, os.X_OK):
            raise Skipped("no daemon at %s" % self.binary)
        self.overrides = dict(overrides or {})
        self.io = io
        self.port, self.admin_port = free_ports(2)

    def command(self):
        command = [self.binary, "--data-dir", self.directory,
                   "--listen", self.bootstrap, "--node-id", str(self.node_id),
                   "--override", "chronik.admin.listener=%s:%d" % (self.host, self.admin_port)]
        if self.peers:
            command += ["--peers", self.peers]
        for key, value in self.overrides.items():
            command += ["--override", "%s=%s" % (key, value)]
        if self.io:
            command.append("--io=" + self.io)
        return command

    def serves(self):
        return self.get("/readyz")[0] == 200

    def get(self, path):
        """Status and text of a page of the HTTP listener; status 0: nobody answers."""
        url = "http://%s:%d%s" % (self.host, self.admin_port, path)
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def dump(self, partition=None):
        """What `--dump-log` says of the directory, whether the broker runs or not: a Dump."""
        command = [self.binary, "--dump-log", self.directory, "--records", "--json"]
        if partition:
            command += ["--partition", partition]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              cwd=self.work)
        return Dump(done.returncode, done.stdout, done.stderr)

    def metrics(self):
        """Every series of /metrics with its value."""
        lines = (line.rsplit(" ", 1) for line in self.get("/metrics")[1].splitlines()
                 if line and not line.startswith("#"))
        return {name: float(value) for name, value in lines}


KAFKA_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={directory}
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
"""


class Kafka(Broker):
    """A throw-away Apache Kafka node on loopback: what the harness itself is tested with."""

    name = "kafka"
    start_seconds = 60
    stop_code = 143  # as Java ends on SIGTERM

    def __init__(self, directory, work, overrides=None):
        super().__init__(directory, work)
        try:
            self.classpath = kafka_jars.classpath()
        except kafka_jars.Unavailable as reason:
            raise Skipped(str(reason))
        self.port, self.controller_port = free_ports(2)
        self.properties = os.path.join(work, "kafka.properties")
        with open(self.properties, "w") as file:
            file.write(KAFKA_PROPERTIES.format(port=self.port, controller=self.controller_port,
                                               directory=directory))
            for key, value in (overrides or {}).items():
                file.write("%s=%s\n" % (key, value))

    def java(self, main, *arguments):
        return ["java", "-Xmx512m", "-cp", self.classpath, main, *arguments]

    def prepare(self):
        if os.path.exists(os.path.join(self.directory, "meta.properties")):
            return
        formatted = subprocess.run(self.java("kafka.tools.StorageTool", "format", "-t",
                                             "AAAAAAAAAAAAAAAAAAAAAQ", "-c", self.properties),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if formatted.returncode != 0:
            raise Failed("Kafka's format step: " + formatted.stdout)

    def command(self):
        return self.java("kafka.Kafka", self.properties)
