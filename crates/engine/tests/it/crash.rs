//! Writers that are killed, and disks that fill up: what was acknowledged is there, the chain never
//! forks, and the log goes on.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use carnet_engine::{JournalError, LogReader};
use carnet_ledger::Digest;
use carnet_model::Code;

use super::journal::{draft, open};
use super::world::read;
use super::yard::Yard;

const PLACE: &str = "CARNET_TEST_CHILD_PLACE";

#[expect(clippy::disallowed_methods, reason = "the test that starts a child tells it the place")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Appends from four threads until it is killed, and says what was acknowledged.
#[test]
#[ignore = "it is started by what_was_acknowledged_survives_every_kill"]
fn appending() {
    let dir = setting(PLACE).unwrap();
    let journal = open(Path::new(&dir)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                for round in 0.. {
                    let drafts =
                        vec![draft(&format!("{thread}/{round}"), Digest::of(b"x")); 1 + round % 3];
                    let events = journal.append(drafts).unwrap();
                    let mut out = std::io::stdout().lock();
                    for event in events {
                        writeln!(out, "ack {} {}", event.sequence, event.event_hash).unwrap();
                    }
                }
            });
        }
    });
}

fn start_appending(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "crash::appending", "--nocapture"])
        .env(PLACE, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The sequence numbers and hashes in what a child said. Its last line may be half.
fn acknowledgements(said: &str) -> Vec<(usize, String)> {
    let lines = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter_map(|words| match words[..] {
            ["ack", sequence, hash] => Some((sequence.parse().unwrap(), hash.to_owned())),
            _ => None,
        })
        .collect()
}

#[test]
fn a_second_process_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = start_appending(dir.path());
    let mut out = BufReader::new(first.stdout.take().unwrap());
    let mut said = String::new();
    let mut listen = |until: usize| {
        while acknowledgements(&said).len() < until {
            assert!(out.read_line(&mut said).unwrap() > 0, "the first process ended");
        }
        acknowledgements(&said)
    };
    listen(1);
    let second = start_appending(dir.path()).wait_with_output().unwrap();
    assert!(!second.status.success());
    let told = String::from_utf8_lossy(&second.stdout) + String::from_utf8_lossy(&second.stderr);
    assert!(told.contains("Locked") && acknowledgements(&told).is_empty(), "{told}");
    let acknowledged = listen(200);
    first.kill().unwrap();
    first.wait().unwrap();
    let (_, events) = read(dir.path()).unwrap();
    for (sequence, hash) in acknowledged {
        assert_eq!(events[sequence].event_hash.to_string(), hash);
    }
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let rounds = if setting("CARNET_TEST_LONG").is_some() { 300 } else { 12 };
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..rounds {
        let mut child = start_appending(dir.path());
        // xorshift: another moment each time, the same moments in each test.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_millis(20 + random % 130));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        for (sequence, hash) in acknowledgements(&said) {
            let twice = acknowledged.insert(sequence, hash);
            assert_eq!(twice, None, "an event was acknowledged twice");
        }
        if LogReader::open(dir.path()).unwrap().is_none() {
            // It was killed before it had made the log.
            assert!(acknowledged.is_empty());
            continue;
        }
        let (_, events) = read(dir.path()).unwrap();
        for (sequence, hash) in &acknowledged {
            assert_eq!(events[*sequence].event_hash.to_string(), *hash, "in round {round}");
        }
    }
    assert!(acknowledged.len() > rounds, "{}", acknowledged.len());
    // The log goes on.
    let journal = open(dir.path()).unwrap();
    assert!(journal.events() >= acknowledged.len() as u64);
    journal.append(vec![draft("after", Digest::of(b"x"))]).unwrap();
}

/// Runs an ignored test of this file on a file system of its own of so many bytes.
#[expect(clippy::print_stderr, reason = "a test that is left out is said to be")]
fn on_a_small_disk(test: &str, bytes: u32) {
    let place = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size={bytes} none \"$0\" && exec \"$@\"");
    let inside = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["-rm", "sh", "-c", &script]).arg(place.path()).args(command);
        unshare.env(PLACE, place.path()).env("TMPDIR", place.path());
        unshare.output()
    };
    if !inside(&["true"]).is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: {test}: this machine lets nobody mount a small file system");
        return;
    }
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    let output = inside(&[program, "--ignored", "--exact", test, "--nocapture"]).unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

/// A file that takes all room but so many bytes.
fn ballast(dir: &Path, leave: u64) -> std::path::PathBuf {
    let path = dir.join("ballast");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut size = 0;
    while file.write_all(&[0; 4096]).is_ok() {
        size += 4096;
    }
    file.set_len(u64::saturating_sub(size, leave)).unwrap();
    path
}

#[test]
fn a_full_disk_fails_the_append_and_not_the_log() {
    on_a_small_disk("crash::appending_to_a_full_disk", 8 << 20);
}

#[test]
#[ignore = "it is started by a_full_disk_fails_the_append_and_not_the_log"]
fn appending_to_a_full_disk() {
    let disk = setting(PLACE).unwrap();
    let dir = Path::new(&disk).join("state");
    let mut journal = open(&dir).unwrap();
    for leave in [0, 40_000, 300_000, 1_000_000] {
        let ballast = ballast(Path::new(&disk), leave);
        let refused = loop {
            let drafts = (0..100).map(|n| draft(&n.to_string(), Digest::of(b"x")));
            match journal.append(drafts.collect()) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(refused.code(), Code::DISK_FULL, "{refused:?}");
        let object = journal.put(&vec![7; 1 << 20]).unwrap_err();
        assert_eq!(object.code(), Code::DISK_FULL, "{object:?}");
        let events = journal.events();
        // As long as there is no room, nothing is taken; the log can be read all the while.
        assert!(journal.append(vec![draft("no", Digest::of(b"x")); 200]).is_err());
        assert_eq!(read(&dir).unwrap().1.len() as u64, events);
        std::fs::remove_file(ballast).unwrap();
        // With room again the same writer goes on, and so does another one.
        journal.append(vec![draft("on", Digest::of(b"x"))]).unwrap();
        drop(journal);
        journal = open(&dir).unwrap();
        assert_eq!(journal.events(), events + 1);
    }
}

#[test]
fn a_full_disk_stops_the_run_which_goes_on_when_there_is_room() {
    on_a_small_disk("crash::running_on_a_full_disk", 4 << 20);
}

#[test]
#[ignore = "it is started by a_full_disk_stops_the_run_which_goes_on_when_there_is_room"]
fn running_on_a_full_disk() {
    let disk = setting(PLACE).unwrap();
    let mut stopped = 0;
    for leave in (0..20).map(|step| step * 24_000) {
        let yard = Yard::new();
        let ballast = ballast(Path::new(&disk), leave);
        let code = match yard.run("") {
            Ok(report) => report.code(),
            Err(error) => Some(error.code()),
        };
        if let Some(code) = code {
            assert_eq!(code, Code::DISK_FULL, "with {leave} bytes left");
            stopped += 1;
        }
        std::fs::remove_file(ballast).unwrap();
        if let Some(log) = LogReader::open(&yard.state()).unwrap() {
            log.verify(&mut |_| Ok::<_, JournalError>(())).unwrap();
        }
        let mut report = yard.run("").unwrap();
        if report.status == "failed" {
            // Why it stopped was written, and the rest of the undo was done just now.
            assert_eq!(report.code(), Some(Code::DISK_FULL), "with {leave} bytes left");
            report = yard.run("").unwrap();
        }
        assert_eq!(report.status, "done", "with {leave} bytes left: {report:#?}");
    }
    assert!(stopped > 3, "{stopped}");
}
