"""The things that tests/bench/run measures: chronikd, Apache Kafka 4.4.0, the null sink.

Each one is started on a free port of 127.0.0.1 with an empty data directory of its own, by
"loadgen first", which gives the time from exec to the first acknowledged record. Nothing is left
behind: stop() waits for the process and removes the directory.
"""
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import subprocess
import time

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"  # for Kafka, which has to be formatted
HERE = pathlib.Path(__file__).resolve().parent


def free_port():
    """Below the ports that the kernel gives to clients: a client that tries such a port again and
    again until somebody listens may in the end be connected to itself."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def parse(line):
    """The numbers (or words) of a line of key=value."""
    fields = {}
    for word in line.split():
        key, _, value = word.partition("=")
        try:
            fields[key] = float(value)
        except ValueError:
            fields[key] = value
    return fields


def bound_memory():
    """A mistake in a load must end the generator, not everything else on the machine."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.RLIM_INFINITY))


class Tools:
    """The C programs, and how they are started."""

    def __init__(self, build, pin, raw):
        self.folder = pathlib.Path(build) / "tests" / "bench"
        self.pin = pin  # the broker on CPU 0, the generator on CPU 1
        self.raw = raw  # a file for every line, or None

    def run(self, tool, *args):
        command = [str(self.folder / tool)] + [str(a) for a in args]
        starts_a_broker = args[0] == "first"
        if self.pin and not starts_a_broker:
            command = ["taskset", "-c", "1"] + command
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=None if starts_a_broker else bound_memory)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
        if self.raw:
            self.raw.write(f"{' '.join(command)}\n  {done.stdout}")
            self.raw.flush()
        return parse(done.stdout)


class Broker:
    """Started and stopped as often as wanted; the data directory stays until remove()."""

    name = "?"
    patience_s = 60

    def __init__(self, tools, folder):
        self.tools = tools
        self.folder = pathlib.Path(folder) / self.name.replace(" ", "-")
        self.pid = 0
        self.starting = False
        self.fresh()

    def fresh(self):
        """An empty data directory and a free port."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port = free_port()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        raise NotImplementedError

    def start(self, topic="first", partitions=1):
        command = self.command()
        if self.tools.pin:
            command = ["taskset", "-c", "0"] + command
        self.starting = True
        result = self.tools.run("loadgen", "first", "--connect", self.address, "--topic", topic,
                                "--partitions", partitions, "--log", self.folder / "log",
                                "--pid-file", self.folder / "pid",
                                "--", *command)
        self.pid, self.starting = int(result["pid"]), False
        return result["first_ack_ms"]

    def load(self, mode, *args):
        return self.tools.run("loadgen", mode, "--connect", self.address, "--pid", self.pid, *args)

    def is_there(self):
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
                return f.read().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False

    def stop(self, how=signal.SIGTERM):
        if self.pid == 0:
            return
        deadline = time.monotonic() + self.patience_s
        try:
            os.kill(self.pid, how)
            while self.is_there() and time.monotonic() < deadline:
                time.sleep(0.01)
            if self.is_there():
                os.kill(self.pid, signal.SIGKILL)
                raise RuntimeError(f"{self.name} did not stop within {self.patience_s} s")
        except ProcessLookupError:
            pass
        self.pid = 0

    def remove(self):
        started = self.folder / "pid"
        if self.pid == 0 and self.starting and started.exists():
            self.pid = int(started.read_text(encoding="ascii"))  # start() was interrupted
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def memory_mb(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            kib = [int(line.split()[1]) for line in f if line.startswith("VmRSS")]
        return kib[0] / 1024

    def cpu_percent(self, seconds):
        """Of one core, while nobody asks anything."""
        return self.load("idle", "--count", 0, "--warmup-ms", 0,
                         "--ms", int(seconds * 1000))["broker_cpu_percent"]


class Chronikd(Broker):
    name = "chronikd"

    def __init__(self, tools, folder, program):
        self.program = program
        super().__init__(tools, folder)

    def command(self):
        config = self.folder / "server.properties"
        config.write_text(f"node.id=1\nlisteners=PLAINTEXT://{self.address}\n"
                          f"log.dirs={self.folder / 'data'}\nchronik.admin.listener=\n",
                          encoding="ascii")
        return [str(self.program), str(config)]


class Kafka(Broker):
    """Apache Kafka 4.4.0 in one process, 1 GiB heap, everything else as it comes."""

    name = "Kafka"
    settings = ""

    @staticmethod
    def class_path(build):
        """Maven's, resolved once."""
        file = pathlib.Path(build) / "kafka-class-path"
        if not file.exists():
            subprocess.run(["mvn", "-q", "-B", "-f", HERE / "kafka" / "pom.xml",
                            "dependency:build-classpath", f"-Dmdep.outputFile={file}"],
                           check=True, stdout=subprocess.DEVNULL)
        return file.read_text(encoding="utf-8").strip()

    def __init__(self, tools, folder, class_path):
        self.path = class_path
        super().__init__(tools, folder)

    def command(self):
        config, data = self.folder / "server.properties", self.folder / "data"
        controller = f"127.0.0.1:{free_port()}"
        config.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@{controller}\n"
            f"listeners=PLAINTEXT://{self.address},CONTROLLER://{controller}\n"
            f"advertised.listeners=PLAINTEXT://{self.address}\n"
            "controller.listener.names=CONTROLLER\n"
            f"log.dirs={data}\noffsets.topic.replication.factor=1\n" + self.settings,
            encoding="ascii")
        java = f"java -cp '{self.path}'"
        script = (f"test -e '{data}' || {java} kafka.tools.StorageTool format -t {CLUSTER_ID} "
                  f"-c '{config}'; exec {java} -Xms1G -Xmx1G -XX:+UseG1GC kafka.Kafka '{config}'")
        return ["bash", "-c", script]


class KafkaSynced(Kafka):
    """Kafka that promises what chronikd promises: on disk before it is acknowledged."""

    name = "Kafka synced"
    settings = "log.flush.interval.messages=1\n"


class NullSink(Broker):
    """No broker at all: what the generator and the network can do."""

    name = "null sink"

    def command(self):
        return [str(self.tools.folder / "nullsink"), str(self.port)]
