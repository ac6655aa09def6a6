// kafkajs for tests/clients/every_client. Three codecs come from elsewhere, as its manual says.

import zlib from 'node:zlib'
import kafkajs from 'kafkajs'
import lz4 from 'lz4-napi'
import snappy from 'snappy'
import { Unsupported, assigned, is, record, serve, show, sleep, toldToLeave } from './commands.mjs'

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka,
  logLevel } = kafkajs

CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async encoder => snappy.compress(encoder.buffer),
  decompress: async buffer => snappy.uncompress(buffer)
})
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrame(encoder.buffer),
  decompress: async buffer => lz4.decompressFrame(buffer)
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => zlib.zstdCompressSync(encoder.buffer),
  decompress: async buffer => zlib.zstdDecompressSync(buffer)
})
const CODECS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

const kafka = new Kafka({ brokers: process.argv[2].split(','), logLevel: logLevel.ERROR,
  retry: { retries: 20, maxRetryTime: 1000 } })
const admin = kafka.admin({ retry: { retries: 3 } })
await admin.connect()

// ---- records ----

function message (n, time, partitions) {
  const { partition, timestamp, key, value, header } = record(n, time, partitions)
  return { partition, timestamp: '' + timestamp, key, value, headers: { n: header } }
}

async function produce (topic, partitions, codec, from, to, time, how, pause) {
  const producer = kafka.producer({ idempotent: how === 'idempotent', maxInFlightRequests: 1 })
  await producer.connect()
  const messages = []
  for (let n = +from; n < +to; n++) {
    messages.push(message(n, +time, +partitions))
  }
  const size = +pause ? 1 : messages.length
  for (let i = 0; i < messages.length; i += size) {
    await producer.send({ topic, acks: -1, compression: CODECS[codec],
      messages: messages.slice(i, i + size) })
    await sleep(+pause)
  }
  await producer.disconnect()
}

function showMessage (partition, { offset, timestamp, key, value, headers }) {
  show(partition, offset, timestamp, key, value, Object.entries(headers)[0])
}

// It reads only as a member of a group: one of its own. The first record is that of `start`, if told.
async function read (topic, count, start) {
  const consumer = kafka.consumer({ maxWaitTimeInMs: 500,
    groupId: `reader-${process.pid}-${Date.now()}` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let seen = 0
  let enough
  const done = new Promise(resolve => { enough = resolve })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      const before = start && +message.offset < +start.offset // fetched before it was told
      if (!before && seen < count) {
        showMessage(partition, message)
        seen++
      }
      if (seen === count) {
        enough()
      }
    }
  })
  if (start) {
    consumer.seek(start)
  }
  await Promise.race([done, sleep(30000)])
  await consumer.disconnect()
}

const consume = (topic, partitions, count) => read(topic, +count)

async function seek (topic, partition, time) {
  const found = await admin.fetchTopicOffsetsByTimestamp(topic, +time)
  const { offset } = found.find(entry => entry.partition === +partition)
  await read(topic, 1, { topic, partition: +partition, offset })
}

async function member (groupId, topic, assignor, instance) {
  if (assignor === 'cooperative') {
    throw new Unsupported('no cooperative rebalancing')
  }
  if (instance !== '-') {
    throw new Unsupported('no static members')
  }
  const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 300,
    rebalanceTimeout: 10000, maxWaitTimeInMs: 500 })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    assigned(payload.memberAssignment[topic] ?? [])
  })
  consumer.on(consumer.events.REBALANCING, () => assigned([]))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ partition, message }) => showMessage(partition, message)
  })
  await toldToLeave()
  await consumer.disconnect()
}

// ---- administration ----

async function describeTopic (topic) {
  const { topics: [found] } = await admin.fetchTopicMetadata({ topics: [topic] })
  is(found.partitions.length, found.partitions[0].replicas.length)
}

const resource = (name, more) => ({ type: ConfigResourceTypes.TOPIC, name, ...more })

async function getConfig (topic, name) {
  const { resources: [found] } = await admin.describeConfigs({ includeSynonyms: false,
    resources: [resource(topic, { configNames: [name] })] })
  is(found.configEntries[0].configValue)
}

async function deleteRecords (topic, partition, offset) {
  await admin.fetchTopicOffsets(topic) // or it does not know the topic
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: +partition, offset }] })
}

async function describeGroup (group) {
  const { groups: [found] } = await admin.describeGroups([group])
  is(found.state, found.members.length)
}

async function committed (groupId, topic) {
  for (const { partitions } of await admin.fetchOffsets({ groupId, topics: [topic] })) {
    partitions.filter(p => +p.offset >= 0).forEach(p => is(p.partition, p.offset))
  }
}

serve({
  produce,
  consume,
  seek,
  member,
  'create-topic': (topic, partitions, replication) => admin.createTopics({ topics: [
    { topic, numPartitions: +partitions, replicationFactor: +replication }] })
    .then(made => { if (!made) { throw new Error('it exists') } }),
  'describe-topic': describeTopic,
  'list-topics': async () => (await admin.listTopics()).forEach(topic => is(topic)),
  'set-config': (topic, name, value) => admin.alterConfigs({ validateOnly: false,
    resources: [resource(topic, { configEntries: [{ name, value }] })] }),
  'get-config': getConfig,
  'add-partitions': (topic, count) => admin.createPartitions({
    topicPartitions: [{ topic, count: +count }] }),
  'delete-records': deleteRecords,
  'delete-topic': topic => admin.deleteTopics({ topics: [topic] }),
  'list-groups': async () => (await admin.listGroups()).groups.forEach(g => is(g.groupId)),
  'describe-group': describeGroup,
  committed,
  'set-offset': (groupId, topic, partition, offset) => admin.setOffsets({ groupId, topic,
    partitions: [{ partition: +partition, offset }] }),
  'delete-group': group => admin.deleteGroups([group])
})
