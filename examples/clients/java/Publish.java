import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Cancels a flight through the commands topic, and reads the reply and the event that it became. */
public class Publish {
    static final Duration PATIENCE = Duration.ofSeconds(60);
    static final String COMMANDS = "flights.commands.v1";
    static final String REPLIES = "flights.replies.v1";
    static final String EVENTS = "flights.events.v1";

    public static void main(String[] args) throws Exception {
        String kafka = args[0];
        Registry registry = new Registry(args[1]);
        String id = UUID.randomUUID().toString();
        String stream = "flight-JA" + id.substring(0, 8) + "-20140101-JFK";
        String trace = id.replace("-", "");

        Map<String, Object> reading = Map.of(
            "bootstrap.servers", kafka,
            // What is not committed, or will never be, is not seen.
            "isolation.level", "read_committed",
            "enable.auto.commit", false);
        Map<String, Object> writing = Map.of("bootstrap.servers", kafka, "acks", "all", "enable.idempotence", true);
        try (var consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new ByteArrayDeserializer());
                var producer = new KafkaProducer<>(writing, new StringSerializer(), new ByteArraySerializer())) {
            // From where the topics end now, known before anything is published.
            List<TopicPartition> partitions = Stream.of(REPLIES, EVENTS)
                .flatMap(topic -> consumer.partitionsFor(topic).stream())
                .map(partition -> new TopicPartition(partition.topic(), partition.partition()))
                .toList();
            consumer.assign(partitions);
            consumer.seekToEnd(partitions);
            partitions.forEach(consumer::position);

            Registry.Known known = registry.latest(COMMANDS + "-flights.FlightCancelled");
            GenericRecord cancelled = new GenericData.Record(known.schema());
            cancelled.put("carrier", "JA");
            cancelled.put("origin", "JFK");
            cancelled.put("dest", "LAX");
            cancelled.put("day", (int) LocalDate.of(2014, 1, 1).toEpochDay());
            ProducerRecord<String, byte[]> command =
                new ProducerRecord<>(COMMANDS, stream, Registry.framed(known.id(), cancelled));
            // The same id again is the same command again, and gets the same reply.
            add(command.headers(), "ce_id", id);
            add(command.headers(), "spina-expected-version", "no_stream");
            add(command.headers(), "traceparent", "00-" + trace + "-" + trace.substring(0, 16) + "-01");
            producer.send(command).get();

            boolean replied = false;
            boolean recorded = false;
            Instant end = Instant.now().plus(PATIENCE);
            while (!(replied && recorded)) {
                if (Instant.now().isAfter(end)) throw new IllegalStateException("no reply or no event of " + stream);
                for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    // A rare record with an empty key is a mark of the event-store and no event.
                    if (!stream.equals(record.key())) continue;
                    GenericRecord value = registry.read(record.value());
                    if (record.topic().equals(REPLIES)) {
                        expect(value.get("outcome").toString(), "accepted");
                        replied = true;
                    } else {
                        expect(header(record, "ce_type"), "flights.flight.FlightCancelled");
                        expect(header(record, "ce_sequence"), "1");
                        expect(header(record, "traceparent").split("-")[1], trace);
                        recorded = true;
                    }
                    System.out.println(record.topic() + " " + record.key() + " " + value);
                }
            }
        }
    }

    static void add(Headers headers, String name, String value) {
        headers.add(name, value.getBytes(StandardCharsets.UTF_8));
    }

    static String header(ConsumerRecord<?, ?> record, String name) {
        Header header = record.headers().lastHeader(name);
        return header == null ? "" : new String(header.value(), StandardCharsets.UTF_8);
    }

    static void expect(String found, String expected) {
        if (!found.equals(expected)) throw new IllegalStateException(found + " instead of " + expected);
    }

    /** Schemas by id, and values in the registry's framing: a zero byte, the id in four bytes, then Avro. */
    static class Registry {
        record Known(int id, Schema schema) {}

        private final String url;
        private final HttpClient http = HttpClient.newHttpClient();
        private final Map<Integer, Schema> schemas = new HashMap<>();

        Registry(String url) {
            this.url = url;
        }

        Known latest(String subject) throws IOException, InterruptedException {
            JsonNode found = get("/subjects/" + subject + "/versions/latest");
            return new Known(found.get("id").asInt(), new Schema.Parser().parse(found.get("schema").asText()));
        }

        static byte[] framed(int id, GenericRecord record) throws IOException {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            out.write(ByteBuffer.allocate(5).put((byte) 0).putInt(id).array());
            var encoder = EncoderFactory.get().binaryEncoder(out, null);
            new GenericDatumWriter<GenericRecord>(record.getSchema()).write(record, encoder);
            encoder.flush();
            return out.toByteArray();
        }

        GenericRecord read(byte[] framed) throws IOException, InterruptedException {
            ByteBuffer frame = ByteBuffer.wrap(framed);
            if (frame.get() != 0) throw new IOException("no frame of the registry");
            int id = frame.getInt();
            if (!schemas.containsKey(id)) {
                schemas.put(id, new Schema.Parser().parse(get("/schemas/ids/" + id).get("schema").asText()));
            }
            var decoder = DecoderFactory.get().binaryDecoder(framed, 5, framed.length - 5, null);
            return new GenericDatumReader<GenericRecord>(schemas.get(id)).read(null, decoder);
        }

        private JsonNode get(String path) throws IOException, InterruptedException {
            var answer = http.send(
                HttpRequest.newBuilder(URI.create(url + path)).timeout(PATIENCE).build(),
                HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) throw new IOException(path + ": " + answer.body());
            return new ObjectMapper().readTree(answer.body());
        }
    }
}
