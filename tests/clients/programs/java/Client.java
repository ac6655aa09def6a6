// Apache Kafka's own client for tests/clients/every_client; the commands stand in client_programs.py.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Scanner;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.header.Header;

public class Client {
    static final BlockingQueue<String> lines = new LinkedBlockingQueue<>();
    static String bootstrap;
    static Admin admin;

    static void say(String format, Object... values) {
        System.out.println(String.format(format, values));
    }

    static Properties properties(Object... pairs) {
        Properties made = new Properties();
        made.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) {
            made.put(pairs[i], pairs[i + 1]);
        }
        return made;
    }

    // ---- records ----

    static void produce(String[] w) throws Exception {
        int partitions = Integer.parseInt(w[2]);
        long time = Long.parseLong(w[6]);
        String serializer = "org.apache.kafka.common.serialization.StringSerializer";
        List<Future<?>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(properties(
                "acks", "all", "compression.type", w[3], "linger.ms", "20",
                "enable.idempotence", String.valueOf(w[7].equals("idempotent")),
                "key.serializer", serializer, "value.serializer", serializer))) {
            for (int n = Integer.parseInt(w[4]); n < Integer.parseInt(w[5]); n++) {
                ProducerRecord<String, String> record = new ProducerRecord<>(w[1],
                        n % partitions, time + n, "k" + n, n + ".".repeat(100));
                record.headers().add("n", String.valueOf(n).getBytes());
                sent.add(producer.send(record));
                Thread.sleep(Integer.parseInt(w[8]));
            }
        }
        for (Future<?> future : sent) {
            future.get();
        }
    }

    static KafkaConsumer<String, String> consumer(Object... pairs) {
        Properties made = properties(pairs);
        String deserializer = "org.apache.kafka.common.serialization.StringDeserializer";
        made.put("key.deserializer", deserializer);
        made.put("value.deserializer", deserializer);
        made.put("auto.offset.reset", "earliest");
        made.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(made);
    }

    static void show(ConsumerRecord<String, String> record) {
        Header header = record.headers().iterator().next();
        say("record %d %d %d %s %s %s=%s", record.partition(), record.offset(),
                record.timestamp(), record.key(), record.value(), header.key(),
                new String(header.value()));
    }

    static void consume(String[] w) {
        List<TopicPartition> all = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(w[2]); i++) {
            all.add(new TopicPartition(w[1], i));
        }
        long end = System.currentTimeMillis() + 30000;
        try (KafkaConsumer<String, String> consumer = consumer()) {
            consumer.assign(all);
            consumer.seekToBeginning(all);
            int seen = 0;
            while (seen < Integer.parseInt(w[3]) && System.currentTimeMillis() < end) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(100))) {
                    show(r);
                    seen++;
                }
            }
        }
    }

    static void seek(String[] w) {
        TopicPartition partition = new TopicPartition(w[1], Integer.parseInt(w[2]));
        try (KafkaConsumer<String, String> consumer = consumer()) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, consumer.offsetsForTimes(
                    Map.of(partition, Long.parseLong(w[3]))).get(partition).offset());
            while (true) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(100))) {
                    show(r);
                    return;
                }
            }
        }
    }

    /** Tells of every change of what a member has. */
    static class Listener implements ConsumerRebalanceListener {
        final TreeSet<Integer> mine = new TreeSet<>();

        void tell() {
            StringBuilder text = new StringBuilder("assigned");
            for (int partition : mine) {
                text.append(" ").append(partition);
            }
            say("%s", text);
        }

        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            partitions.forEach(p -> mine.add(p.partition()));
            tell();
        }

        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(p -> mine.remove(p.partition()));
            tell();
        }
    }

    static void member(String[] w) {
        String assignor = w[3].equals("cooperative") ? "CooperativeStickyAssignor"
                : "RangeAssignor";
        Properties made = properties("group.id", w[1], "session.timeout.ms", "6000",
                "heartbeat.interval.ms", "300", "partition.assignment.strategy",
                "org.apache.kafka.clients.consumer." + assignor);
        if (!w[4].equals("-")) {
            made.put("group.instance.id", w[4]);
        }
        try (KafkaConsumer<String, String> consumer = consumer(made.entrySet().stream()
                .flatMap(e -> java.util.stream.Stream.of(e.getKey(), e.getValue())).toArray())) {
            consumer.subscribe(List.of(w[2]), new Listener());
            while (lines.isEmpty()) {
                ConsumerRecords<String, String> got = consumer.poll(Duration.ofMillis(100));
                got.forEach(Client::show);
                try {
                    consumer.commitSync();
                } catch (CommitFailedException | RebalanceInProgressException e) {
                    continue; // what is read again is committed again
                }
            }
        }
    }

    // ---- administration ----

    static void createTopic(String[] w) throws Exception {
        admin.createTopics(List.of(new NewTopic(w[1], Integer.parseInt(w[2]),
                Short.parseShort(w[3])))).all().get();
    }

    static void describeTopic(String[] w) throws Exception {
        var found = admin.describeTopics(List.of(w[1])).allTopicNames().get().get(w[1]);
        say("is %d %d", found.partitions().size(), found.partitions().get(0).replicas().size());
    }

    static void listTopics(String[] w) throws Exception {
        admin.listTopics().names().get().forEach(name -> say("is %s", name));
    }

    static ConfigResource resource(String topic) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    static void setConfig(String[] w) throws Exception {
        admin.incrementalAlterConfigs(Map.of(resource(w[1]), List.of(new AlterConfigOp(
                new ConfigEntry(w[2], w[3]), AlterConfigOp.OpType.SET)))).all().get();
    }

    static void getConfig(String[] w) throws Exception {
        var found = admin.describeConfigs(List.of(resource(w[1]))).all().get();
        say("is %s", found.get(resource(w[1])).get(w[2]).value());
    }

    static void addPartitions(String[] w) throws Exception {
        admin.createPartitions(Map.of(w[1], NewPartitions.increaseTo(
                Integer.parseInt(w[2])))).all().get();
    }

    static void deleteRecords(String[] w) throws Exception {
        admin.deleteRecords(Map.of(new TopicPartition(w[1], Integer.parseInt(w[2])),
                RecordsToDelete.beforeOffset(Long.parseLong(w[3])))).all().get();
    }

    static void deleteTopic(String[] w) throws Exception {
        admin.deleteTopics(List.of(w[1])).all().get();
    }

    static void listGroups(String[] w) throws Exception {
        admin.listGroups().all().get().forEach(group -> say("is %s", group.groupId()));
    }

    static void describeGroup(String[] w) throws Exception {
        var found = admin.describeConsumerGroups(List.of(w[1])).all().get().get(w[1]);
        say("is %s %d", found.groupState(), found.members().size());
    }

    static void committed(String[] w) throws Exception {
        var found = admin.listConsumerGroupOffsets(w[1]).partitionsToOffsetAndMetadata().get();
        found.forEach((partition, offset) -> {
            if (partition.topic().equals(w[2])) {
                say("is %d %d", partition.partition(), offset.offset());
            }
        });
    }

    static void setOffset(String[] w) throws Exception {
        admin.alterConsumerGroupOffsets(w[1], Map.of(
                new TopicPartition(w[2], Integer.parseInt(w[3])),
                new OffsetAndMetadata(Long.parseLong(w[4])))).all().get();
    }

    static void deleteGroup(String[] w) throws Exception {
        admin.deleteConsumerGroups(List.of(w[1])).all().get();
    }

    // ---- the loop ----

    interface Handler {
        void run(String[] words) throws Exception;
    }

    static final Map<String, Handler> HANDLERS = Map.ofEntries(
            Map.entry("produce", Client::produce), Map.entry("consume", Client::consume),
            Map.entry("seek", Client::seek), Map.entry("member", Client::member),
            Map.entry("create-topic", Client::createTopic),
            Map.entry("describe-topic", Client::describeTopic),
            Map.entry("list-topics", Client::listTopics),
            Map.entry("set-config", Client::setConfig), Map.entry("get-config", Client::getConfig),
            Map.entry("add-partitions", Client::addPartitions),
            Map.entry("delete-records", Client::deleteRecords),
            Map.entry("delete-topic", Client::deleteTopic),
            Map.entry("list-groups", Client::listGroups),
            Map.entry("describe-group", Client::describeGroup),
            Map.entry("committed", Client::committed), Map.entry("set-offset", Client::setOffset),
            Map.entry("delete-group", Client::deleteGroup));

    static void answer(String[] words) {
        try {
            HANDLERS.get(words[0]).run(words);
            say("ok");
        } catch (Exception e) {
            Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
            say("error %s", cause.toString().replace("\n", " "));
        }
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        admin = Admin.create(properties());
        Thread reader = new Thread(() -> {
            Scanner in = new Scanner(System.in);
            while (in.hasNextLine()) {
                lines.add(in.nextLine());
            }
            lines.add("");
        });
        reader.setDaemon(true);
        reader.start();
        for (String line = lines.take(); !line.isEmpty(); line = lines.take()) {
            if (!line.equals("leave")) {
                answer(line.split(" "));
            }
        }
        admin.close(Duration.ZERO);
    }
}
