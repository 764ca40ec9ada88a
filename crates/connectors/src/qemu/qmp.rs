//! The monitor of an emulator: one JSON document a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use carnet_connect::StoreError;
use serde_json::{Value, json};

use super::failed;
use super::folder::{Folder, MONITOR};

/// How long it may take to answer.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 1 << 20;

pub(super) struct Monitor {
    reader: BufReader<UnixStream>,
}

impl Monitor {
    /// Connects to the monitor of a machine; `None` where nothing listens.
    pub(super) fn connect(folder: &Folder) -> Result<Option<Self>, StoreError> {
        // By the open folder, because the path of a socket must be short.
        let open = File::open(folder.path())
            .map_err(|error| failed("the folder of the machine cannot be opened").because(error))?;
        let path = format!("/proc/self/fd/{}/{MONITOR}", open.as_raw_fd());
        let Ok(stream) = UnixStream::connect(path) else { return Ok(None) };
        let limited = stream.set_read_timeout(Some(LIMIT));
        limited
            .and_then(|()| stream.set_write_timeout(Some(LIMIT)))
            .map_err(|error| failed("the monitor cannot be asked").because(error))?;
        let mut monitor = Self { reader: BufReader::new(stream) };
        // The emulator may end at any moment: then it is as if nothing had listened.
        let Ok(greeting) = monitor.line() else { return Ok(None) };
        if greeting.get("QMP").is_none() {
            return Err(failed("what listens for the machine is no monitor of QEMU"));
        }
        match monitor.ask("qmp_capabilities") {
            Ok(_) => Ok(Some(monitor)),
            Err(_) => Ok(None),
        }
    }

    /// Gives a command, and what it returns. Events between are passed over.
    pub(super) fn ask(&mut self, command: &str) -> Result<Value, StoreError> {
        let line = format!("{}\n", json!({"execute": command}));
        let sent = self.reader.get_mut().write_all(line.as_bytes());
        sent.map_err(|error| {
            failed(format!("the monitor does not take {command}")).because(error)
        })?;
        let began = Instant::now();
        while began.elapsed() < LIMIT {
            let mut answer = self.line()?;
            if let Some(error) = answer.get("error") {
                return Err(failed(format!("the monitor refuses {command}: {error}")));
            }
            if let Some(returned) = answer.get_mut("return") {
                return Ok(returned.take());
            }
        }
        Err(failed(format!("the monitor does not answer {command}")))
    }

    fn line(&mut self) -> Result<Value, StoreError> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        read.map_err(|error| failed("the monitor does not answer").because(error))?;
        serde_json::from_slice(&line)
            .map_err(|error| failed("the monitor answers in no known form").because(error))
    }
}
