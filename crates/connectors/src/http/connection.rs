//! TCP connections with a time limit over all of it: the name, every address, every byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use carnet_connect::{Address, StoreError};
use carnet_model::Code;

/// Opens a connection and closes it again. Gives how long it took.
pub fn connect(address: &Address) -> Result<Duration, StoreError> {
    let started = Instant::now();
    open(address)?;
    Ok(started.elapsed())
}

/// A connection whose every read and write ends by its deadline.
pub(super) struct Timed {
    stream: TcpStream,
    until: Instant,
}

/// Opens a connection to the first address of the name that takes one.
pub(super) fn open(address: &Address) -> Result<Timed, StoreError> {
    let until = Instant::now() + address.limit;
    let place = format!("{}:{}", address.host, address.port);
    let mut last = None;
    for found in resolve(address, until)? {
        let Some(left) = left(until) else { break };
        match TcpStream::connect_timeout(&found, left) {
            Ok(stream) => return Ok(Timed { stream, until }),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::TimedOut.into());
    let what = if error.kind() == io::ErrorKind::ConnectionRefused {
        format!("{place} refuses connections")
    } else if error.kind() == io::ErrorKind::TimedOut {
        format!("{place} does not answer in time")
    } else {
        format!("cannot connect to {place}")
    };
    let remedy = "check host and port, and that the server runs and may be reached from here";
    Err(StoreError::new(Code::STORE_UNREACHABLE, what).because(error).remedy(remedy))
}

/// The addresses of the name. The system's resolver has no time limit of its own, so it is asked
/// in a thread that is left behind if it takes too long.
fn resolve(address: &Address, until: Instant) -> Result<Vec<SocketAddr>, StoreError> {
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    let (asked, port) = (host.to_owned(), address.port);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let found = (asked.as_str(), port).to_socket_addrs();
        // Nobody listens any more if it took too long.
        let _ = sender.send(found.map(Iterator::collect::<Vec<_>>));
    });
    let unknown = |error: io::Error| {
        StoreError::new(Code::STORE_UNREACHABLE, format!("cannot find the address of {host}"))
            .because(error)
            .remedy("check the name, and the name service of this machine")
    };
    let left = left(until).unwrap_or_default();
    let found = receiver.recv_timeout(left).map_err(|_| unknown(io::ErrorKind::TimedOut.into()))?;
    let found = found.map_err(unknown)?;
    if found.is_empty() {
        return Err(unknown(io::ErrorKind::NotFound.into()));
    }
    Ok(found)
}

/// The time that is left; `None` if there is none.
fn left(until: Instant) -> Option<Duration> {
    until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        left(self.until).ok_or_else(|| io::ErrorKind::TimedOut.into())
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
