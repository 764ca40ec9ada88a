//! Streams of records: a thread reads one COPY after the other from a connection of its own and
//! hands batches over, so that the server, the decoding and the caller's work run side by side.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use carnet_connect::{RecordStream, Records, StoreError};
use carnet_model::Code;
use postgres::{CancelToken, Client};

use super::connect::{Connector, begin_reading};
use super::decode::{Decoder, wire_failed};
use super::error::failed;
use super::wire::RowReader;

/// How many decoded batches may wait for the caller.
const AHEAD: usize = 2;

/// Connections that all see one moment.
pub(super) struct Pool {
    connector: Connector,
    /// The exported snapshot; `None`: each use of a connection sees a moment of its own.
    snapshot: Option<String>,
    idle: Mutex<Vec<Client>>,
}

impl Pool {
    /// Connections that join an exported snapshot, or each see their own moment.
    pub(super) fn new(connector: Connector, snapshot: Option<String>) -> Self {
        Self { connector, snapshot, idle: Mutex::default() }
    }

    /// A connection within its reading transaction.
    pub(super) fn take(&self) -> Result<Client, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut client = match idle {
            Some(client) if self.snapshot.is_some() => return Ok(client),
            Some(client) => client,
            None => self.connector.connect()?,
        };
        begin_reading(&mut client, self.snapshot.as_deref())?;
        Ok(client)
    }

    /// Takes a connection back whose transaction is still good.
    pub(super) fn give(&self, mut client: Client) {
        // Without a shared moment the next use sees its own.
        if self.snapshot.is_none() && client.batch_execute("COMMIT").is_err() {
            return;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    }
}

/// Planner settings for rows that come in order from an index or by their addresses: nothing is
/// collected and sorted first, so the first row comes at once and memory stays small.
pub(super) const IN_ORDER: &str = "SET LOCAL max_parallel_workers_per_gather = 0; \
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; \
    SET LOCAL enable_incremental_sort = off; SET LOCAL enable_hashjoin = off; \
    SET LOCAL enable_mergejoin = off; SET LOCAL enable_material = off; \
    SET LOCAL enable_memoize = off;";

/// Planner settings for rows that the server must sort, and for spans of blocks.
pub(super) const FREELY: &str = "SET LOCAL max_parallel_workers_per_gather = 0; \
    SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_sort = on; \
    SET LOCAL enable_incremental_sort = on; SET LOCAL enable_hashjoin = on; \
    SET LOCAL enable_mergejoin = on; SET LOCAL work_mem = '64MB';";

/// Gives the statements of a scan one by one; each is the query of a COPY.
pub(super) type Statements = Box<dyn FnMut() -> Option<String> + Send>;

/// One statement.
pub(super) fn one(statement: String) -> Statements {
    let mut left = VecDeque::from([statement]);
    Box::new(move || left.pop_front())
}

/// Starts a stream.
pub(super) fn stream(
    pool: &Arc<Pool>,
    settings: &'static str,
    statements: Statements,
    decoder: Decoder,
    place: String,
) -> Result<Box<dyn RecordStream>, StoreError> {
    stream_on(pool.take()?, pool, settings, statements, decoder, place)
}

/// Starts a stream on a connection of the pool that is in use already.
pub(super) fn stream_on(
    mut client: Client,
    pool: &Arc<Pool>,
    settings: &'static str,
    statements: Statements,
    decoder: Decoder,
    place: String,
) -> Result<Box<dyn RecordStream>, StoreError> {
    client
        .batch_execute(settings)
        .map_err(|error| failed(format!("cannot read {place}"), error))?;
    let cancel = client.cancel_token();
    let (sender, receiver) = sync_channel(AHEAD);
    let fate = Arc::new(Mutex::new(Fate::Reading));
    let reader = Reader {
        pool: Arc::clone(pool),
        statements,
        decoder,
        place,
        sender,
        fate: Arc::clone(&fate),
    };
    let thread = std::thread::Builder::new()
        .name("carnet-scan".to_owned())
        .spawn(move || reader.run(client))
        .map_err(|error| StoreError::io("cannot start a thread", error))?;
    let connector = pool.connector.clone();
    let receiver = Some(receiver);
    Ok(Box::new(Scan { receiver, thread: Some(thread), cancel, connector, fate }))
}

/// What became of the connection, so that a cancellation never meets its next use.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Reading,
    GivenBack,
    Left,
}

struct Scan {
    receiver: Option<Receiver<Result<Records, StoreError>>>,
    thread: Option<JoinHandle<()>>,
    cancel: CancelToken,
    connector: Connector,
    fate: Arc<Mutex<Fate>>,
}

impl RecordStream for Scan {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        let Some(receiver) = &self.receiver else { return Ok(None) };
        match receiver.recv() {
            Ok(Ok(batch)) => Ok(Some(batch)),
            Ok(Err(error)) => {
                self.receiver = None;
                Err(error)
            }
            Err(_) => {
                self.receiver = None;
                // A thread that ended without a word has panicked: that is never an end of data.
                match self.thread.take().map(JoinHandle::join) {
                    Some(Err(_)) => Err(StoreError::new(Code::BUG, "reading a table panicked")),
                    Some(Ok(())) | None => Ok(None),
                }
            }
        }
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        drop(self.receiver.take());
        let mut fate = self.fate.lock().unwrap_or_else(PoisonError::into_inner);
        if *fate == Fate::Reading {
            *fate = Fate::Left;
            // The server need not send the rest. If it cannot be reached any more, the connection
            // ends by itself.
            let _ = self.cancel.cancel_query(self.connector.tls());
        }
        drop(fate);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Reader {
    pool: Arc<Pool>,
    statements: Statements,
    decoder: Decoder,
    place: String,
    sender: SyncSender<Result<Records, StoreError>>,
    fate: Arc<Mutex<Fate>>,
}

impl Reader {
    fn run(mut self, mut client: Client) {
        let read = self.read(&mut client);
        let mut fate = self.fate.lock().unwrap_or_else(PoisonError::into_inner);
        if *fate == Fate::Reading {
            *fate = Fate::GivenBack;
            // After a failure, or when the caller has left, the connection just ends.
            if let Ok(true) = read {
                self.pool.give(client);
            }
        }
        drop(fate);
        if let Err(error) = read {
            // Nobody listens when the caller has left.
            let _ = self.sender.send(Err(error));
        }
    }

    /// Gives `false` when the caller has left.
    fn read(&mut self, client: &mut Client) -> Result<bool, StoreError> {
        while let Some(query) = (self.statements)() {
            let place = &self.place;
            let copy = format!("COPY ({query}) TO STDOUT (FORMAT binary)");
            let reader = client
                .copy_out(copy.as_str())
                .map_err(|error| failed(format!("cannot read {place}"), error))?;
            let mut rows = RowReader::new(reader);
            while let Some(row) = rows.next().map_err(|error| wire_failed(place, error))? {
                if let Some(batch) = self.decoder.push(row)?
                    && self.sender.send(Ok(batch)).is_err()
                {
                    return Ok(false);
                }
            }
        }
        match self.decoder.finish()? {
            Some(batch) => Ok(self.sender.send(Ok(batch)).is_ok()),
            None => Ok(true),
        }
    }
}
