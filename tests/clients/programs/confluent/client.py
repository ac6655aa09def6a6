"""confluent-kafka-python (librdkafka) for tests/clients/every_client."""

import sys
import time

from commands import record, records, say, serve, told_to_leave
from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   NewPartitions, NewTopic)

BOOTSTRAP = sys.argv[1]
ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})


def produce(topic, partitions, codec, begin, end, first_time, how, pause):
    failures = []
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "acks": "all", "compression.type": codec,
                         "enable.idempotence": how == "idempotent", "linger.ms": 20})

    def delivered(error, _):
        if error:
            failures.append(error)
    for partition, when, key, value, headers in records(int(begin), int(end), int(first_time),
                                                        int(partitions)):
        producer.produce(topic, value, key, partition, on_delivery=delivered, timestamp=when,
                         headers=headers)
        if int(pause):
            producer.poll(int(pause) / 1000)
    if producer.flush(60) or failures:
        raise KafkaException(failures[0] if failures else "not flushed")


def show(message):
    record(message.partition(), message.offset(), message.timestamp()[1], message.key(),
           message.value(), message.headers())


def consumer(group="nobody", **settings):
    return Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group,
                     "auto.offset.reset": "earliest", "enable.auto.commit": False, **settings})


def next_message(client):
    message = client.poll(0.1)
    if message and message.error():
        raise KafkaException(message.error())
    return message


def consume(topic, partitions, count):
    client = consumer()
    client.assign([TopicPartition(topic, p, 0) for p in range(int(partitions))])
    seen, end = 0, time.monotonic() + 30
    while seen < int(count) and time.monotonic() < end:
        message = next_message(client)
        if message:
            show(message)
            seen += 1
    client.close()


def seek(topic, partition, when):
    client = consumer()
    found = client.offsets_for_times([TopicPartition(topic, int(partition), int(when))], 30)
    client.assign(found)
    message = None
    while not message:
        message = next_message(client)
    show(message)
    client.close()


def member(group, topic, assignor, instance):
    settings = {"partition.assignment.strategy":
                "cooperative-sticky" if assignor == "cooperative" else "range",
                "session.timeout.ms": 6000, "heartbeat.interval.ms": 300}
    if instance != "-":
        settings["group.instance.id"] = instance
    client, mine = consumer(group, **settings), set()

    def changed(change):
        def listener(_, partitions):
            nonlocal mine
            if assignor == "cooperative":
                mine = change(mine, {p.partition for p in partitions})
            else:
                mine = change(set(), {p.partition for p in partitions})
            say("assigned", *sorted(mine))
        return listener
    client.subscribe([topic], on_assign=changed(set.union), on_revoke=changed(set.difference))
    while not told_to_leave():
        messages = [m for m in client.consume(100, 0.1) if not m.error()]
        for message in messages:
            show(message)
        if messages:
            try:
                client.commit(asynchronous=False)
            except KafkaException:
                pass  # a rebalance came in between: what is read again is committed again
    client.close()


# ---- administration -----------------------------------------------------------------------------


def each(futures):
    """The results of calls for one thing each."""
    return [future.result(30) for future in futures.values()]


def create_topic(topic, partitions, replication):
    each(ADMIN.create_topics([NewTopic(topic, int(partitions), int(replication))]))


def describe_topic(topic):
    partitions = ADMIN.list_topics(topic, 30).topics[topic].partitions
    say("is", len(partitions), len(partitions[0].replicas))


def list_topics():
    for topic in ADMIN.list_topics(timeout=30).topics:
        say("is", topic)


def set_config(topic, name, value):
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    each(ADMIN.incremental_alter_configs([
        ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])]))


def get_config(topic, name):
    found, = each(ADMIN.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]))
    say("is", found[name].value)


def add_partitions(topic, total):
    each(ADMIN.create_partitions([NewPartitions(topic, int(total))]))


def delete_records(topic, partition, offset):
    each(ADMIN.delete_records([TopicPartition(topic, int(partition), int(offset))]))


def delete_topic(topic):
    each(ADMIN.delete_topics([topic]))


def list_groups():
    for group in ADMIN.list_consumer_groups().result(30).valid:
        say("is", group.group_id)


def describe_group(group):
    found, = each(ADMIN.describe_consumer_groups([group]))
    say("is", found.state.name, len(found.members))


def committed(group, topic):
    found, = each(ADMIN.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    for partition in found.topic_partitions:
        if partition.topic == topic and partition.offset >= 0:
            say("is", partition.partition, partition.offset)


def set_offset(group, topic, partition, offset):
    wanted = TopicPartition(topic, int(partition), int(offset))
    each(ADMIN.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [wanted])]))


def delete_group(group):
    each(ADMIN.delete_consumer_groups([group]))


serve({name.replace("_", "-"): handler for name, handler in list(globals().items())
       if callable(handler)})
