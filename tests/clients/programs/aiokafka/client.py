"""aiokafka for tests/clients/every_client."""

import asyncio
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import (AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete)
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, RebalanceInProgressError, for_code
from commands import Unsupported, record, records, say, serve, told_to_leave

BOOTSTRAP = sys.argv[1]
HANDLERS = {}


def command(function):
    """A coroutine that is a command."""
    HANDLERS[function.__name__.replace("_", "-")] = lambda *words: asyncio.run(function(*words))
    return function


@command
async def produce(topic, partitions, codec, begin, end, first_time, how, pause):
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", linger_ms=20,
                                enable_idempotence=how == "idempotent",
                                compression_type=None if codec == "none" else codec)
    await producer.start()
    sent = []
    for partition, when, key, value, headers in records(int(begin), int(end), int(first_time),
                                                        int(partitions)):
        sent.append(await producer.send(topic, value, key, partition, when, headers))
        await asyncio.sleep(int(pause) / 1000)
    for future in sent:
        await future
    await producer.stop()


def show(message):
    record(message.partition, message.offset, message.timestamp, message.key, message.value,
           message.headers)


async def consumer(**settings):
    client = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, auto_offset_reset="earliest",
                              enable_auto_commit=False, **settings)
    return client


@command
async def consume(topic, partitions, count):
    client = await consumer()
    client.assign([TopicPartition(topic, p) for p in range(int(partitions))])
    await client.start()
    seen, end = 0, time.monotonic() + 30
    while seen < int(count) and time.monotonic() < end:
        for messages in (await client.getmany(timeout_ms=100)).values():
            for message in messages:
                show(message)
                seen += 1
    await client.stop()


@command
async def seek(topic, partition, when):
    client, wanted = await consumer(), TopicPartition(topic, int(partition))
    client.assign([wanted])
    await client.start()
    found = await client.offsets_for_times({wanted: int(when)})
    client.seek(wanted, found[wanted].offset)
    show(await client.getone())
    await client.stop()


class Listener(ConsumerRebalanceListener):
    """Tells of every change of what a member has."""

    def __init__(self):
        self.mine = set()

    def on_partitions_assigned(self, assigned):
        self.mine = {p.partition for p in assigned}
        say("assigned", *sorted(self.mine))

    def on_partitions_revoked(self, revoked):
        self.mine = set()
        say("assigned")


@command
async def member(group, topic, assignor, instance):
    if assignor == "cooperative":
        raise Unsupported("no cooperative rebalancing")
    client = await consumer(group_id=group, session_timeout_ms=6000, heartbeat_interval_ms=300,
                            group_instance_id=None if instance == "-" else instance,
                            partition_assignment_strategy=[RangePartitionAssignor])
    client.subscribe([topic], listener=Listener())
    await client.start()
    while not told_to_leave():
        got = await client.getmany(timeout_ms=100)
        for messages in got.values():
            for message in messages:
                show(message)
        try:
            if got:
                await client.commit()
        except (CommitFailedError, RebalanceInProgressError):
            pass  # what is read again is committed again
    await client.stop()


# ---- administration -----------------------------------------------------------------------------


def administrative(function):
    """A command that gets an administrator first."""
    async def with_client(*words):
        admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
        await admin.start()
        try:
            await function(admin, *words)
        finally:
            await admin.close()
    with_client.__name__ = function.__name__
    return command(with_client)


def expect_none(code, message=None):
    if code:
        raise for_code(code)(message)


@administrative
async def create_topic(admin, topic, partitions, replication):
    answer = await admin.create_topics([NewTopic(topic, int(partitions), int(replication))])
    for _, code, message in answer.topic_errors:
        expect_none(code, message)


@administrative
async def describe_topic(admin, topic):
    found, = await admin.describe_topics([topic])
    say("is", len(found["partitions"]), len(found["partitions"][0]["replicas"]))


@administrative
async def list_topics(admin):
    for topic in await admin.list_topics():
        say("is", topic)


@administrative
async def set_config(admin, topic, name, value):
    for answer in await admin.alter_configs([
            ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})]):
        for code, message, *_ in answer.resources:
            expect_none(code, message)


@administrative
async def get_config(admin, topic, name):
    answer, = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    for code, message, _, _, entries in answer.resources:
        expect_none(code, message)
        say("is", next(entry[1] for entry in entries if entry[0] == name))


@administrative
async def add_partitions(admin, topic, total):
    answer = await admin.create_partitions({topic: NewPartitions(int(total))})
    for _, code, message in answer.topic_errors:
        expect_none(code, message)


@administrative
async def delete_records(admin, topic, partition, offset):
    await admin.delete_records({TopicPartition(topic, int(partition)):
                                RecordsToDelete(before_offset=int(offset))})


@administrative
async def delete_topic(admin, topic):
    answer = await admin.delete_topics([topic])
    for _, code in answer.topic_error_codes:
        expect_none(code)


@administrative
async def list_groups(admin):
    for group, _ in await admin.list_consumer_groups():
        say("is", group)


@administrative
async def describe_group(admin, group):
    answer, = await admin.describe_consumer_groups([group])
    found, = answer.groups
    expect_none(found[0])
    say("is", found[2], len(found[5]))


@administrative
async def committed(admin, group, topic):
    for partition, found in (await admin.list_consumer_group_offsets(group)).items():
        if partition.topic == topic:
            say("is", partition.partition, found.offset)


@command
async def set_offset(group, topic, partition, offset):
    client, wanted = await consumer(group_id=group), TopicPartition(topic, int(partition))
    client.assign([wanted])
    await client.start()
    await client.commit({wanted: int(offset)})
    await client.stop()


@command
async def delete_group(group):
    raise Unsupported("no call that deletes groups")


serve(HANDLERS)
