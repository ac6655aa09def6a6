// rdkafka (Rust, on librdkafka) for tests/clients/every_client; client_programs.py says what the
// commands are.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::sync::mpsc::{channel, Receiver, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(30);

struct Client {
    bootstrap: String,
    admin: AdminClient<DefaultClientContext>,
    lines: Receiver<Vec<String>>,
}

fn number<T: std::str::FromStr>(word: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    word.parse().unwrap()
}

// ---- records ----

#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<String>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().push(error.to_string());
        }
    }
}

fn show(message: &impl Message) {
    let headers = message.headers().unwrap();
    let header = headers.get(0);
    println!(
        "record {} {} {} {} {} {}={}",
        message.partition(),
        message.offset(),
        message.timestamp().to_millis().unwrap(),
        String::from_utf8_lossy(message.key().unwrap()),
        String::from_utf8_lossy(message.payload().unwrap()),
        header.key,
        String::from_utf8_lossy(header.value.unwrap())
    );
}

impl Client {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    fn consumer_config(&self, group: &str) -> ClientConfig {
        let mut config = self.config();
        config.set("group.id", group);
        config.set("auto.offset.reset", "earliest");
        config.set("enable.auto.commit", "false");
        config
    }

    fn produce(&self, w: &[&str]) -> Outcome {
        let mut config = self.config();
        config.set("acks", "all").set("compression.type", w[3]).set("linger.ms", "20");
        config.set("enable.idempotence", if w[7] == "idempotent" { "true" } else { "false" });
        let deliveries = Deliveries::default();
        let producer: ThreadedProducer<Deliveries> =
            ThreadedProducer::from_config_and_context(&config, deliveries.clone())?;
        let (partitions, time) = (number::<i64>(w[2]), number::<i64>(w[6]));
        for n in number::<i64>(w[4])..number::<i64>(w[5]) {
            let (key, value) = (format!("k{n}"), format!("{n}{}", ".".repeat(100)));
            let header = n.to_string();
            let headers =
                OwnedHeaders::new().insert(Header { key: "n", value: Some(header.as_str()) });
            let record = BaseRecord::to(w[1])
                .partition((n % partitions) as i32)
                .timestamp(time + n)
                .key(&key)
                .payload(&value)
                .headers(headers);
            producer.send(record).map_err(|(error, _)| error)?;
            std::thread::sleep(Duration::from_millis(number(w[8])));
        }
        producer.flush(Duration::from_secs(60))?;
        let failed = deliveries.0.lock().unwrap().pop();
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn read(&self, from: &TopicPartitionList, count: usize) -> Outcome {
        let consumer: BaseConsumer = BaseConsumer::from_config(&self.consumer_config("nobody"))?;
        consumer.assign(from)?;
        let (mut seen, end) = (0, Instant::now() + PATIENCE);
        while seen < count && Instant::now() < end {
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                show(&message?);
                seen += 1;
            }
        }
        Ok(())
    }

    fn consume(&self, w: &[&str]) -> Outcome {
        let mut from = TopicPartitionList::new();
        for partition in 0..number(w[2]) {
            from.add_partition_offset(w[1], partition, Offset::Beginning)?;
        }
        self.read(&from, number(w[3]))
    }

    fn seek(&self, w: &[&str]) -> Outcome {
        let consumer: BaseConsumer = BaseConsumer::from_config(&self.consumer_config("nobody"))?;
        let mut at = TopicPartitionList::new();
        at.add_partition_offset(w[1], number(w[2]), Offset::Offset(number(w[3])))?;
        self.read(&consumer.offsets_for_times(at, PATIENCE)?, 1)
    }
}

// ---- groups ----

/// What a member has; tells of every change.
struct Mine {
    cooperative: bool,
    partitions: Mutex<BTreeSet<i32>>,
}

impl ClientContext for Mine {}

impl ConsumerContext for Mine {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut mine = self.partitions.lock().unwrap();
        let changed = |list: &TopicPartitionList| -> BTreeSet<i32> {
            list.elements().iter().map(|e| e.partition()).collect()
        };
        match rebalance {
            Rebalance::Assign(list) if self.cooperative => mine.extend(changed(list)),
            Rebalance::Assign(list) => *mine = changed(list),
            Rebalance::Revoke(list) => mine.retain(|p| !changed(list).contains(p)),
            Rebalance::Error(_) => mine.clear(),
        }
        let words: Vec<String> = mine.iter().map(i32::to_string).collect();
        println!("assigned {}", words.join(" "));
    }
}

impl Client {
    fn member(&self, w: &[&str]) -> Outcome {
        let cooperative = w[3] == "cooperative";
        let mut config = self.consumer_config(w[1]);
        config.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "300");
        config.set(
            "partition.assignment.strategy",
            if cooperative { "cooperative-sticky" } else { "range" },
        );
        if w[4] != "-" {
            config.set("group.instance.id", w[4]);
        }
        let mine = Mine { cooperative, partitions: Mutex::default() };
        let consumer = BaseConsumer::from_config_and_context(&config, mine)?;
        consumer.subscribe(&[w[2]])?;
        while let Err(TryRecvError::Empty) = self.lines.try_recv() {
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message?;
                show(&message);
                // What a rebalance prevents is read and committed again.
                let _ = consumer.commit_message(&message, CommitMode::Sync);
            }
        }
        Ok(())
    }

    fn list_groups(&self) -> Outcome {
        for group in self.admin.inner().fetch_group_list(None, PATIENCE)?.groups() {
            println!("is {}", group.name());
        }
        Ok(())
    }

    fn describe_group(&self, w: &[&str]) -> Outcome {
        let found = self.admin.inner().fetch_group_list(Some(w[1]), PATIENCE)?;
        let group = found.groups().first().ok_or("no such group")?;
        println!("is {} {}", group.state(), group.members().len());
        Ok(())
    }

    fn committed(&self, w: &[&str]) -> Outcome {
        let consumer: BaseConsumer = BaseConsumer::from_config(&self.consumer_config(w[1]))?;
        let metadata = consumer.fetch_metadata(Some(w[2]), PATIENCE)?;
        let mut wanted = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            wanted.add_partition(w[2], partition.id());
        }
        for found in consumer.committed_offsets(wanted, PATIENCE)?.elements() {
            if let Offset::Offset(offset) = found.offset() {
                println!("is {} {}", found.partition(), offset);
            }
        }
        Ok(())
    }

    fn set_offset(&self, w: &[&str]) -> Outcome {
        let consumer: BaseConsumer = BaseConsumer::from_config(&self.consumer_config(w[1]))?;
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(w[2], number(w[3]), Offset::Offset(number(w[4])))?;
        Ok(consumer.commit(&offsets, CommitMode::Sync)?)
    }

    // ---- administration ----

    fn administer(&self, w: &[&str]) -> Outcome {
        let options = AdminOptions::new();
        let admin = &self.admin;
        match w[0] {
            "create-topic" => {
                let replication = TopicReplication::Fixed(number(w[3]));
                let topic = NewTopic::new(w[1], number(w[2]), replication);
                first(block_on(admin.create_topics([&topic], &options))?)
            }
            "set-config" => self.set_config(w),
            "get-config" => {
                println!("is {}", self.config_of(w[1], w[2])?);
                Ok(())
            }
            "add-partitions" => {
                let more = NewPartitions::new(w[1], number(w[2]));
                first(block_on(admin.create_partitions([&more], &options))?)
            }
            "delete-records" => {
                let mut offsets = TopicPartitionList::new();
                offsets.add_partition_offset(w[1], number(w[2]), Offset::Offset(number(w[3])))?;
                block_on(admin.delete_records(&offsets, &options))?.elements()[0].error()?;
                Ok(())
            }
            "delete-topic" => first(block_on(admin.delete_topics(&[w[1]], &options))?),
            _ => first(block_on(admin.delete_groups(&[w[1]], &options))?),
        }
    }

    fn config_of(&self, topic: &str, name: &str) -> Result<String, Box<dyn std::error::Error>> {
        let wanted = ResourceSpecifier::Topic(topic);
        let options = AdminOptions::new();
        let found = block_on(self.admin.describe_configs([&wanted], &options))?.remove(0)?;
        Ok(found.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default())
    }

    /// The library does not tell that a broker refused it: looks whether it was taken.
    fn set_config(&self, w: &[&str]) -> Outcome {
        let config = AlterConfig::new(ResourceSpecifier::Topic(w[1])).set(w[2], w[3]);
        let _ = block_on(self.admin.alter_configs([&config], &AdminOptions::new()))?;
        for _ in 0..20 {
            if self.config_of(w[1], w[2])? == w[3] {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("it was not taken".into())
    }

    fn topics(&self, topic: Option<&str>) -> Outcome {
        let metadata = self.admin.inner().fetch_metadata(topic, PATIENCE)?;
        for found in metadata.topics() {
            match (topic, found.partitions()) {
                (None, _) => println!("is {}", found.name()),
                (Some(_), all) => println!("is {} {}", all.len(), all[0].replicas().len()),
            }
        }
        Ok(())
    }

    fn answer(&self, w: &[&str]) -> Outcome {
        match w[0] {
            "produce" => self.produce(w),
            "consume" => self.consume(w),
            "seek" => self.seek(w),
            "member" => self.member(w),
            "describe-topic" => self.topics(Some(w[1])),
            "list-topics" => self.topics(None),
            "list-groups" => self.list_groups(),
            "describe-group" => self.describe_group(w),
            "committed" => self.committed(w),
            "set-offset" => self.set_offset(w),
            _ => self.administer(w),
        }
    }
}

/// Of calls for one thing.
fn first<E: std::fmt::Display>(mut results: Vec<Result<String, (String, E)>>) -> Outcome {
    match results.remove(0) {
        Ok(_) => Ok(()),
        Err((_, error)) => Err(error.to_string().into()),
    }
}

fn main() {
    let bootstrap = std::env::args().nth(1).unwrap();
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = sender.send(line.split(' ').map(str::to_owned).collect());
        }
        let _ = sender.send(vec![String::new()]);
    });
    let admin = ClientConfig::new().set("bootstrap.servers", &bootstrap).create().unwrap();
    let client = Client { bootstrap, admin, lines };
    loop {
        let words = client.lines.recv().unwrap();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[0] {
            "" => return,
            "leave" => continue,
            _ => match client.answer(&words) {
                Ok(()) => println!("ok"),
                Err(error) => println!("error {}", error.to_string().replace('\n', " ")),
            },
        }
    }
}
