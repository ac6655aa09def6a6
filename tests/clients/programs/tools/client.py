"""Apache Kafka's command-line tools for tests/clients/every_client: VerifiableProducer,
VerifiableConsumer, the console consumer and the administrative ones.

The tools choose partitions and time stamps by themselves, and write no headers; record n is written
as FROM.(n - FROM)."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading

import kafka_jars
import kafka_tools
from commands import LINES, Unsupported, say, serve

BOOTSTRAP = sys.argv[1]
TOOLS = "org.apache.kafka.tools."


def tool(name, *arguments):
    return kafka_tools.tool(TOOLS + name, "--bootstrap-server", BOOTSTRAP, *arguments)


def configured(name, settings, *arguments):
    """With client settings in a file."""
    with tempfile.NamedTemporaryFile("w", suffix=".properties") as file:
        file.write("".join("%s=%s\n" % pair for pair in settings.items()))
        file.flush()
        return tool(name, "--command-config", file.name, *arguments)


def produce(topic, _, codec, begin, end, _time, how, pause):
    count = int(end) - int(begin)
    out = configured("VerifiableProducer", {
        "compression.type": codec, "linger.ms": 20,
        "enable.idempotence": str(how == "idempotent").lower(), "retries": 1000},
        "--topic", topic, "--max-messages", count, "--acks", -1, "--value-prefix", begin,
        "--throughput", 1000 // int(pause) if int(pause) else -1, "--repeating-keys", 50)
    acknowledged = out.count('"name":"producer_send_success"')
    if acknowledged != count or "producer_send_error" in out:
        raise Exception("%d of %d records are acknowledged" % (acknowledged, count))


def consume(topic, _, count):
    shown = [option for name in ("offset", "partition", "timestamp", "key")
             for option in ("--formatter-property", "print.%s=true" % name)]
    out = tool("consumer.ConsoleConsumer", "--topic", topic, "--from-beginning", "--max-messages",
               count, "--timeout-ms", 30000, *shown)
    pattern = r"^CreateTime:(\d+)\tPartition:(\d+)\tOffset:(\d+)\t(\S+)\t(\S+)$"
    for time, partition, offset, key, value in re.findall(pattern, out, re.M):
        say("record", partition, offset, time, key, value, "-")


def seek(topic, partition, time):
    raise Unsupported("it chooses no time stamps")


# ---- members ------------------------------------------------------------------------------------


def follow(process, topic):
    """Shows what VerifiableConsumer says: an event a line."""
    mine = set()
    for line in process.stdout:
        event = json.loads(line) if line.startswith("{") else {}
        partitions = {p["partition"] for p in event.get("partitions", [])
                      if isinstance(p, dict) and p.get("topic") == topic}
        if event.get("name") == "record_data":
            say("record", event["partition"], event["offset"], 0, event.get("key"),
                event["value"], "-")
        elif event.get("name") == "partitions_assigned":
            mine |= partitions
            say("assigned", *sorted(mine))
        elif event.get("name") == "partitions_revoked":
            mine -= partitions
            say("assigned", *sorted(mine))


def member(group, topic, assignor, instance):
    strategy = "CooperativeStickyAssignor" if assignor == "cooperative" else "RangeAssignor"
    arguments = ["--bootstrap-server", BOOTSTRAP, "--topic", topic, "--group-id", group,
                 "--session-timeout", "6000", "--reset-policy", "earliest", "--verbose",
                 "--assignment-strategy", "org.apache.kafka.clients.consumer." + strategy]
    if instance != "-":
        arguments += ["--group-instance-id", instance]
    with tempfile.NamedTemporaryFile("w", suffix=".properties") as file:
        file.write("heartbeat.interval.ms=300\n")
        file.flush()
        process = subprocess.Popen(
            ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
             kafka_jars.classpath(), TOOLS + "VerifiableConsumer", *arguments,
             "--command-config", file.name], stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
        reader = threading.Thread(target=follow, args=(process, topic))
        reader.start()
        LINES.get()
        process.terminate()
        process.wait(30)
        reader.join(10)


# ---- administration -----------------------------------------------------------------------------


def topics(*arguments):
    return tool("TopicCommand", *arguments)


def groups(*arguments):
    out = tool("consumer.group.ConsumerGroupCommand", *arguments)
    if "Error" in out:  # it ends with 0 all the same
        raise Exception(out.strip())
    return out


def create_topic(topic, partitions, replication):
    topics("--create", "--topic", topic, "--partitions", partitions, "--replication-factor",
           replication)


def describe_topic(topic):
    out = topics("--describe", "--topic", topic)
    say("is", *re.search(r"PartitionCount: (\d+)\tReplicationFactor: (\d+)", out).groups())


def list_topics():
    for topic in topics("--list").split():
        say("is", topic)


def configs(*arguments):
    return tool("ConfigCommand", *arguments)


def set_config(topic, name, value):
    configs("--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config",
            "%s=%s" % (name, value))


def get_config(topic, name):
    out = configs("--describe", "--all", "--entity-type", "topics", "--entity-name", topic)
    say("is", re.search(r"^  %s=(\S*) " % re.escape(name), out, re.M).group(1))


def add_partitions(topic, total):
    topics("--alter", "--topic", topic, "--partitions", total)


def delete_records(topic, partition, offset):
    wanted = {"topic": topic, "partition": int(partition), "offset": int(offset)}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"version": 1, "partitions": [wanted]}, file)
        file.flush()
        out = tool("DeleteRecordsCommand", "--offset-json-file", file.name)
    if "low_watermark: %s" % offset not in out:
        raise Exception(out.strip())


def delete_topic(topic):
    topics("--delete", "--topic", topic)


def list_groups():
    for group in groups("--list").split():
        say("is", group)


def describe_group(group):
    lines = [line.split() for line in groups("--describe", "--state", "--group", group).splitlines()
             if line.startswith(group)]
    say("is", *lines[0][-2:])


def committed(group, topic):
    for line in groups("--describe", "--offsets", "--group", group).splitlines():
        match = re.match(r"%s +%s +(\d+) +(?:\S+ +)?(\d+) +\d+ +\d+ " % (group, topic), line + " ")
        if match:
            say("is", *match.groups())


def set_offset(group, topic, partition, offset):
    groups("--reset-offsets", "--group", group, "--topic", "%s:%s" % (topic, partition),
           "--to-offset", offset, "--execute")


def delete_group(group):
    groups("--delete", "--group", group)


os.environ["CHRONIK_OPTIONAL"] = "1"
serve({name.replace("_", "-"): handler for name, handler in list(globals().items())
       if callable(handler)})
