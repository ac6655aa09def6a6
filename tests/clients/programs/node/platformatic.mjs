// @platformatic/kafka for tests/clients/every_client.

import { Admin, Consumer, ListOffsetTimestamps, Producer, stringDeserializers, stringSerializers }
  from '@platformatic/kafka'
import { assigned, is, record, serve, show, sleep, toldToLeave } from './commands.mjs'

const common = { clientId: 'every_client', bootstrapBrokers: process.argv[2].split(','),
  retries: 20, retryDelay: 100 }
const admin = new Admin({ ...common, retries: 3 })
const TOPIC = 2 // as a kind of thing that has a configuration

// ---- records ----

function message (topic, n, time, partitions) {
  const { partition, timestamp, key, value, header } = record(n, time, partitions)
  return { topic, partition, timestamp: BigInt(timestamp), key, value, headers: { n: header } }
}

async function produce (topic, partitions, codec, from, to, time, how, pause) {
  const producer = new Producer({ ...common, serializers: stringSerializers,
    idempotent: how === 'idempotent', acks: -1, compression: codec,
    ...(how === 'idempotent' ? { producerId: -1n, producerEpoch: -1 } : {}) })
  const messages = []
  for (let n = +from; n < +to; n++) {
    messages.push(message(topic, n, +time, +partitions))
  }
  const size = +pause ? 1 : messages.length
  for (let i = 0; i < messages.length; i += size) {
    await producer.send({ messages: messages.slice(i, i + size) })
    await sleep(+pause)
  }
  await producer.close()
}

function showMessage ({ partition, offset, timestamp, key, value, headers }) {
  show(partition, offset, timestamp, key, value, [...headers][0])
}

// Reads partitions from where it is told, until it has shown `count` records.
async function read (offsets, count) {
  const consumer = new Consumer({ ...common, deserializers: stringDeserializers,
    groupId: 'reader-' + process.pid + '-' + Date.now() })
  const stream = await consumer.consume({ topics: [offsets[0].topic], mode: 'manual', offsets,
    autocommit: false, maxWaitTime: 500 })
  const giveUp = setTimeout(() => stream.close(), 30000)
  let seen = 0
  for await (const message of stream) {
    showMessage(message)
    if (++seen === count) {
      break
    }
  }
  clearTimeout(giveUp)
  await consumer.close(true)
}

async function consume (topic, partitions, count) {
  const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true })
  const wanted = topics.get(topic).partitions.map((_, partitionIndex) => (
    { partitionIndex, timestamp: ListOffsetTimestamps.EARLIEST }))
  const [found] = await admin.listOffsets({ topics: [{ name: topic, partitions: wanted }] })
  await read(found.partitions.map(({ partitionIndex, offset }) => (
    { topic, partition: partitionIndex, offset })), +count)
}

async function seek (topic, partition, time) {
  const [{ partitions: [{ offset }] }] = await admin.listOffsets({ topics: [{ name: topic,
    partitions: [{ partitionIndex: +partition, timestamp: BigInt(time) }] }] })
  await read([{ topic, partition: +partition, offset }], 1)
}

async function member (groupId, topic, assignor, instance) {
  const cooperative = assignor === 'cooperative'
  const consumer = new Consumer({ ...common, groupId, deserializers: stringDeserializers,
    sessionTimeout: 6000, heartbeatInterval: 300, rebalanceTimeout: 10000,
    protocols: [{ name: cooperative ? 'cooperative-sticky' : 'roundrobin', version: 1 }],
    ...(instance === '-' ? {} : { groupInstanceId: instance }) })
  const mine = () => consumer.assignments?.find(a => a.topic === topic)?.partitions ?? []
  consumer.on('consumer:group:join', () => assigned(mine()))
  consumer.on('consumer:group:rebalance', () => assigned(cooperative ? mine() : []))
  const stream = await consumer.consume({ topics: [topic], mode: 'committed',
    fallbackMode: 'earliest', autocommit: false, maxWaitTime: 500 })
  let committed = Promise.resolve()
  stream.on('data', message => {
    showMessage(message)
    // What a rebalance prevents is read and committed again.
    committed = committed.then(() => message.commit()).catch(() => {})
  })
  await toldToLeave()
  await committed
  await consumer.close(true)
}

// ---- administration ----

async function describeTopic (topic) {
  const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true })
  const { partitions } = topics.get(topic)
  is(partitions.length, partitions[0].replicas.length)
}

const resource = (topic, more) => ({ resourceType: TOPIC, resourceName: topic, ...more })

async function getConfig (topic, name) {
  const [found] = await admin.describeConfigs({
    resources: [resource(topic, { configurationKeys: [name] })] })
  is(found.configs[0].value)
}

async function describeGroup (group) {
  const found = (await admin.describeGroups({ groups: [group] })).get(group)
  is(found.state, found.members.size)
}

async function committed (group, topic) {
  const [found] = await admin.listConsumerGroupOffsets({ groups: [group] })
  for (const { name, partitions } of found.topics) {
    partitions.filter(() => name === topic).forEach(p => is(p.partitionIndex, p.committedOffset))
  }
}

serve({
  produce,
  consume,
  seek,
  member,
  'create-topic': (topic, partitions, replicas) => admin.createTopics({ topics: [topic],
    partitions: +partitions, replicas: +replicas }),
  'describe-topic': describeTopic,
  'list-topics': async () => (await admin.listTopics()).forEach(topic => is(topic)),
  'set-config': (topic, name, value) => admin.incrementalAlterConfigs({
    resources: [resource(topic, { configs: [{ name, value, configOperation: 0 }] })] }),
  'get-config': getConfig,
  'add-partitions': (name, count) => admin.createPartitions({
    topics: [{ name, count: +count, assignments: null }] }),
  'delete-records': (name, partition, offset) => admin.deleteRecords({
    topics: [{ name, partitions: [{ partition: +partition, offset: BigInt(offset) }] }] }),
  'delete-topic': topic => admin.deleteTopics({ topics: [topic] }),
  'list-groups': async () => (await admin.listGroups()).forEach(group => is(group.id)),
  'describe-group': describeGroup,
  committed,
  'set-offset': (groupId, name, partition, offset) => admin.alterConsumerGroupOffsets({ groupId,
    topics: [{ name, partitionOffsets: [{ partition: +partition, offset: BigInt(offset) }] }] }),
  'delete-group': group => admin.deleteGroups({ groups: [group] })
})
