// Cancels a flight through the commands topic, and reads the reply and the event that it became.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { compatibilityPartitioner, Consumer, MessagesStreamModes, Producer, stringDeserializer, stringSerializer }
  from '@platformatic/kafka'
import avro from 'avsc'

const PATIENCE_MS = 60_000
const COMMANDS = 'flights.commands.v1'
const REPLIES = 'flights.replies.v1'
const EVENTS = 'flights.events.v1'

const [kafka, registryUrl] = process.argv.slice(2)
const id = randomUUID()
const stream = `flight-NO${id.slice(0, 8)}-20140101-JFK`
const trace = id.replaceAll('-', '')

const bootstrap = { clientId: 'example', bootstrapBrokers: [kafka] }

/** What the registry answers. */
async function ask (path) {
  const answer = await fetch(registryUrl + path, { signal: AbortSignal.timeout(PATIENCE_MS) })
  assert.ok(answer.ok, `${path}: ${answer.status}`)
  return answer.json()
}

/** A record in the latest schema of a subject, framed: a zero byte, the schema's id in four bytes, then Avro. */
async function framed (subject, record) {
  const latest = await ask(`/subjects/${subject}/versions/latest`)
  const head = Buffer.alloc(5)
  head.writeInt32BE(latest.id, 1)
  return Buffer.concat([head, avro.Type.forSchema(JSON.parse(latest.schema)).toBuffer(record)])
}

const types = new Map()
/** The record in a frame. */
async function unframed (frame) {
  assert.equal(frame[0], 0, 'no frame of the registry')
  const schemaId = frame.readInt32BE(1)
  if (!types.has(schemaId)) {
    types.set(schemaId, avro.Type.forSchema(JSON.parse((await ask(`/schemas/ids/${schemaId}`)).schema)))
  }
  return types.get(schemaId).fromBuffer(frame.subarray(5))
}

const consumer = new Consumer({
  ...bootstrap,
  groupId: `example-${id}`,
  autocommit: false,
  // What is not committed, or will never be, is not seen: READ_COMMITTED.
  isolationLevel: 1,
  deserializers: { key: stringDeserializer, headerKey: stringDeserializer, headerValue: stringDeserializer }
})
// From where the topics end now, known before anything is published.
const ends = await consumer.listOffsets({ topics: [REPLIES, EVENTS] })
const offsets = [...ends].flatMap(([topic, offsets]) =>
  offsets.map((offset, partition) => ({ topic, partition, offset })))
const records = await consumer.consume({ topics: [REPLIES, EVENTS], mode: MessagesStreamModes.MANUAL, offsets })

const producer = new Producer({
  ...bootstrap,
  idempotent: true,
  // As Java does it: all that is about a stream belongs into one partition.
  partitioner: compatibilityPartitioner,
  serializers: { key: stringSerializer, headerKey: stringSerializer, headerValue: stringSerializer }
})
const cancelled = { carrier: 'NO', origin: 'JFK', dest: 'LAX', day: Date.UTC(2014, 0, 1) / 86_400_000 }
await producer.send({
  messages: [{
    topic: COMMANDS,
    key: stream,
    value: await framed(`${COMMANDS}-flights.FlightCancelled`, cancelled),
    headers: {
      // The same id again is the same command again, and gets the same reply.
      ce_id: id,
      'spina-expected-version': 'no_stream',
      traceparent: `00-${trace}-${trace.slice(0, 16)}-01`
    }
  }]
})

const late = setTimeout(() => {
  console.error(`no reply or no event of ${stream}`)
  process.exit(1)
}, PATIENCE_MS)
const seen = new Set()
for await (const record of records) {
  // A rare record with an empty key is a mark of the event-store and no event.
  if (record.key !== stream) continue
  const header = name => record.headers.get(name)
  const value = await unframed(record.value)
  if (record.topic === REPLIES) {
    assert.equal(value.outcome, 'accepted')
  } else {
    assert.equal(header('ce_type'), 'flights.flight.FlightCancelled')
    assert.equal(header('ce_sequence'), '1')
    assert.equal(header('traceparent').split('-')[1], trace)
  }
  console.log(record.topic, stream, JSON.stringify(value))
  if (seen.add(record.topic).size === 2) break
}
clearTimeout(late)
await producer.close()
await consumer.close(true)
