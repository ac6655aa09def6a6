"""kafka-python for tests/clients/every_client."""

import sys
import time

from commands import record, records, say, serve, told_to_leave
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import CommitFailedError, NoError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

SERVERS = sys.argv[1].split(",")
ADMIN = KafkaAdminClient(bootstrap_servers=SERVERS)


def produce(topic, partitions, codec, begin, end, first_time, how, pause):
    producer = KafkaProducer(bootstrap_servers=SERVERS, acks="all", linger_ms=20,
                             enable_idempotence=how == "idempotent",
                             compression_type=None if codec == "none" else codec)
    sent = []
    for partition, when, key, value, headers in records(int(begin), int(end), int(first_time),
                                                        int(partitions)):
        sent.append(producer.send(topic, value, key, headers, partition, when))
        time.sleep(int(pause) / 1000)
    producer.flush()
    for future in sent:
        future.get(60)
    producer.close()


def show(message):
    record(message.partition, message.offset, message.timestamp, message.key, message.value,
           message.headers)


def consumer(**settings):
    return KafkaConsumer(bootstrap_servers=SERVERS, auto_offset_reset="earliest",
                         enable_auto_commit=False, **settings)


def consume(topic, partitions, count):
    client = consumer()
    client.assign([TopicPartition(topic, p) for p in range(int(partitions))])
    client.seek_to_beginning()
    seen, end = 0, time.monotonic() + 30
    while seen < int(count) and time.monotonic() < end:
        for messages in client.poll(100).values():
            for message in messages:
                show(message)
                seen += 1
    client.close()


def seek(topic, partition, when):
    client, wanted = consumer(), TopicPartition(topic, int(partition))
    client.assign([wanted])
    client.seek(wanted, client.offsets_for_times({wanted: int(when)})[wanted].offset)
    got = {}
    while not got:
        got = client.poll(100, max_records=1)
    show(got[wanted][0])
    client.close()


class Listener(ConsumerRebalanceListener):
    """Tells of every change of what a member has."""

    def __init__(self):
        self.mine = set()

    def on_partitions_assigned(self, assigned):
        self.mine |= {p.partition for p in assigned}
        say("assigned", *sorted(self.mine))

    def on_partitions_revoked(self, revoked):
        self.mine -= {p.partition for p in revoked}
        say("assigned", *sorted(self.mine))


def member(group, topic, assignor, instance):
    strategy = CooperativeStickyAssignor if assignor == "cooperative" else \
        RangePartitionAssignor
    client = consumer(group_id=group, group_instance_id=None if instance == "-" else instance,
                      session_timeout_ms=6000, heartbeat_interval_ms=300,
                      partition_assignment_strategy=[strategy])
    client.subscribe([topic], listener=Listener())
    while not told_to_leave():
        got = client.poll(100)
        for messages in got.values():
            for message in messages:
                show(message)
        try:
            if got:
                client.commit()
        except (CommitFailedError, RebalanceInProgressError):
            pass  # what is read again is committed again
    client.close(autocommit=False)


# ---- administration -----------------------------------------------------------------------------


def create_topic(topic, partitions, replication):
    ADMIN.create_topics({topic: {"num_partitions": int(partitions),
                                 "replication_factor": int(replication)}})


def describe_topic(topic):
    found, = ADMIN.describe_topics([topic])
    say("is", len(found["partitions"]), len(found["partitions"][0]["replica_nodes"]))


def list_topics():
    for topic in ADMIN.list_topics():
        say("is", topic)


def set_config(topic, name, value):
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})
    failed(ADMIN.alter_configs([resource])["topic"])


def get_config(topic, name):
    found = ADMIN.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)],
                                   config_filter="all")
    say("is", found["topic"][topic][name]["value"])


def add_partitions(topic, total):
    ADMIN.create_partitions({topic: int(total)})


def delete_records(topic, partition, offset):
    ADMIN.delete_records({TopicPartition(topic, int(partition)): int(offset)})


def delete_topic(topic):
    ADMIN.delete_topics([topic])


def list_groups():
    for group in ADMIN.list_groups():
        say("is", group["group_id"])


def describe_group(group):
    found = ADMIN.describe_groups([group])[group]
    say("is", found["group_state"], len(found["members"]))


def committed(group, topic):
    for partition, found in ADMIN.list_group_offsets({group: None})[group].items():
        if partition.topic == topic:
            say("is", partition.partition, found.offset)


def set_offset(group, topic, partition, offset):
    wanted = TopicPartition(topic, int(partition))
    failed(ADMIN.alter_group_offsets(group, {wanted: OffsetAndMetadata(int(offset), "", -1)}))


def delete_group(group):
    failed(ADMIN.delete_groups([group]))


def failed(results):
    """Raises what these calls only return."""
    for result in results.values():
        if result not in (NoError, "OK"):
            raise Exception(result)


serve({name.replace("_", "-"): handler for name, handler in list(globals().items())
       if callable(handler)})
