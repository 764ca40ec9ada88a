//! Opening connections: for reading without leaving a trace, for writing with every commit on the
//! disk, and several for reading that see one moment.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_connect::StoreError;
use carnet_model::Code;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::Access;

use super::failure::{failed, is_busy};

/// Page cache of a reading connection, in KiB. Scans read each page once.
const READER_CACHE_KIB: i64 = 4_096;
/// Page cache of the writing connection, in KiB. What does not fit spills into the log.
const WRITER_CACHE_KIB: i64 = 16_384;
/// A write-ahead log is cut back to this many bytes once its content is in the file.
const LOG_BYTES: i64 = 64 << 20;
/// The longest text, blob or row that is read, in bytes: above every record that we can hold.
const VALUE_BYTES_MAX: i32 = 64 << 20;
/// How often connections begin anew to see one moment before writers are held off for it.
const MOMENT_ATTEMPTS: usize = 20;

/// A database file and how long to wait for others who lock it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) wait: Duration,
}

/// What a file looked like when it was opened as one that nobody changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<std::time::SystemTime>,
}

/// Connections that all see the same moment of one file.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) connections: Vec<Connection>,
    /// Present when the place can only be read, so that SQLite cannot lock it: the file must
    /// still look like this at the end of each read.
    pub(super) stamp: Option<Stamp>,
}

impl Place {
    /// The file, for people.
    pub(crate) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether there is a file. A missing directory, or something else at its place, is an error.
    pub(crate) fn exists(&self) -> Result<bool, StoreError> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => Ok(true),
            Ok(_) => Err(StoreError::new(
                Code::STORE_MALFORMED,
                format!("{} is not a file", self.shown()),
            )
            .remedy("write sqlite:FILE with a database file, or a file that does not exist yet")),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                let directory = self.directory();
                if directory.is_dir() {
                    return Ok(false);
                }
                Err(StoreError::new(
                    Code::STORE_NOT_FOUND,
                    format!("there is no directory {}", directory.display()),
                )
                .remedy("make the directory, or correct the path"))
            }
            Err(source) => Err(StoreError::io(format!("cannot look at {}", self.shown()), source)),
        }
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// A connection for reading; `None` if there is no file yet.
    pub(crate) fn reader(&self) -> Result<Option<Connection>, StoreError> {
        Ok(self.reader_and_stamp()?.map(|(connection, _)| connection))
    }

    fn reader_and_stamp(&self) -> Result<Option<(Connection, Option<Stamp>)>, StoreError> {
        if !self.exists()? {
            return Ok(None);
        }
        // The file is never opened but by SQLite: closing another descriptor of it would release
        // the locks that SQLite holds for this process.
        rustix::fs::access(&self.path, Access::READ_OK).map_err(|errno| {
            StoreError::new(Code::STORE_DENIED, format!("{} may not be read", self.shown()))
                .because(std::io::Error::from(errno))
        })?;
        match self.live_reader() {
            Ok(connection) => Ok(Some((connection, None))),
            Err(source) => match self.frozen_reader(&source)? {
                Some((connection, stamp)) => Ok(Some((connection, Some(stamp)))),
                None => Err(failed(format!("cannot read {}", self.shown()), source)),
            },
        }
    }

    /// Opened for writing where possible, though it never writes: so the last connection tidies
    /// up its side files, which one opened for reading leaves behind.
    fn live_reader(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        self.prepared_reader(Connection::open_with_flags(&self.path, flags)?)
    }

    /// In a place that can only be read SQLite cannot make the side files that it needs to share
    /// a file in WAL mode. Nobody writes there, so it may be read without them, unless there is a
    /// log whose content is not in the file yet.
    fn frozen_reader(
        &self,
        source: &rusqlite::Error,
    ) -> Result<Option<(Connection, Stamp)>, StoreError> {
        let closed = rustix::fs::access(self.directory(), Access::WRITE_OK).is_err();
        let refused = matches!(
            source.sqlite_error_code(),
            Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly)
        );
        if !closed || !refused {
            return Ok(None);
        }
        if self.has_log() {
            return Err(StoreError::new(
                Code::STORE_READ_ONLY,
                format!("{} has a log beside it that is not in the file yet", self.shown()),
            )
            .remedy("copy the file and its log to a directory that can be written"));
        }
        let mut uri = b"file:".to_vec();
        for byte in self.path.as_os_str().as_bytes() {
            match byte {
                b'%' | b'?' | b'#' => uri.extend(format!("%{byte:02x}").bytes()),
                _ => uri.push(*byte),
            }
        }
        uri.extend(b"?immutable=1");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let stamp = self.stamp()?;
        let cannot = |source| failed(format!("cannot read {}", self.shown()), source);
        let connection = Connection::open_with_flags(OsString::from_vec(uri), flags)
            .and_then(|connection| self.prepared_reader(connection))
            .map_err(cannot)?;
        Ok(Some((connection, stamp)))
    }

    /// Whether a log beside the file holds what is not in the file yet.
    fn has_log(&self) -> bool {
        ["-wal", "-journal"].iter().any(|suffix| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            std::fs::metadata(name).is_ok_and(|metadata| metadata.len() > 0)
        })
    }

    /// SQLite fills up a last page that was cut off with zeros: the cut is noticed here.
    fn whole_pages(&self, connection: &Connection) -> Result<(), StoreError> {
        let page: u32 = connection
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .map_err(|source| failed(format!("cannot read {}", self.shown()), source))?;
        let length = self.stamp()?.length;
        if length.is_multiple_of(u64::from(page.max(1))) || self.has_log() {
            return Ok(());
        }
        Err(StoreError::new(
            Code::STORE_MALFORMED,
            format!("{} ends in the middle of a page, after {length} bytes", self.shown()),
        )
        .remedy("restore the file from a backup"))
    }

    pub(super) fn stamp(&self) -> Result<Stamp, StoreError> {
        let metadata = std::fs::metadata(&self.path)
            .map_err(|source| StoreError::io(format!("cannot look at {}", self.shown()), source))?;
        Ok(Stamp { length: metadata.len(), modified: metadata.modified().ok() })
    }

    fn prepared_reader(&self, connection: Connection) -> rusqlite::Result<Connection> {
        self.prepare(&connection, READER_CACHE_KIB)?;
        connection.pragma_update(None, "query_only", true)?;
        touch(&connection)?;
        Ok(connection)
    }

    fn prepare(&self, connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
        connection.busy_timeout(self.wait)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
        // A schema made by others is data: it may not run functions with side effects.
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "cache_size", -cache_kib)?;
        connection.set_prepared_statement_cache_capacity(32);
        register_sqlite_vec(connection)
    }

    /// Refuses a place that cannot be written, without writing to it.
    pub(crate) fn check_writable(&self) -> Result<(), StoreError> {
        let refused = |path: &Path, errno: rustix::io::Errno| {
            StoreError::io(format!("{} cannot be written", path.display()), errno.into())
                .remedy("choose a file and a directory that can be written")
        };
        if self.exists()? {
            rustix::fs::access(&self.path, Access::WRITE_OK)
                .map_err(|errno| refused(&self.path, errno))?;
        }
        let directory = self.directory();
        rustix::fs::access(directory, Access::WRITE_OK).map_err(|errno| refused(directory, errno))
    }

    /// The connection for writing; makes the file where there is none. What it commits is on the
    /// disk: `synchronous=FULL` syncs the log at each commit.
    pub(super) fn writer(&self, dimensions: u32) -> Result<Connection, StoreError> {
        self.check_writable()?;
        let cannot = |source| failed(format!("cannot write {}", self.shown()), source);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(cannot)?;
        self.prepare(&connection, WRITER_CACHE_KIB).map_err(cannot)?;
        set_up(&connection, dimensions).map_err(cannot)?;
        utf8_only(&connection, &self.shown())?;
        Ok(connection)
    }

    /// `count` connections whose read transactions show the same moment; `None` if there is no
    /// file yet.
    ///
    /// Each begins on its own, and another process may commit between two of them. One more
    /// connection notices that: its `data_version` differs from before when anyone committed. Then
    /// all begin again. No lock is taken, so this works where nothing can be written. Only when
    /// writers leave no gap are they held off by the write lock, for as long as it takes to begin.
    pub(super) fn moment(&self, count: usize) -> Result<Option<Moment>, StoreError> {
        let Some((watch, stamp)) = self.reader_and_stamp()? else { return Ok(None) };
        utf8_only(&watch, &self.shown())?;
        self.whole_pages(&watch)?;
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.extend(self.reader()?);
        }
        let cannot = |source| failed(format!("cannot read {}", self.shown()), source);
        for _ in 0..MOMENT_ATTEMPTS {
            if begin_together(&watch, &connections).map_err(cannot)? {
                return Ok(Some(Moment { connections, stamp }));
            }
        }
        hold_off(&watch).map_err(cannot)?;
        if begin_together(&watch, &connections).map_err(cannot)? {
            return Ok(Some(Moment { connections, stamp }));
        }
        Err(StoreError::new(Code::STORE_BUSY, format!("{} changes all the time", self.shown()))
            .remedy("pause the process that writes to it for a moment"))
    }
}

/// A new file is put into WAL mode, so that readers keep their moment while we write. A file
/// that others made keeps the mode that they chose.
fn set_up(connection: &Connection, dimensions: u32) -> rusqlite::Result<()> {
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    if pages == 0 {
        connection.pragma_update(None, "page_size", page_size(dimensions))?;
        let _mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    }
    connection.pragma_update(None, "synchronous", "full")?;
    let _bytes: i64 =
        connection
            .pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |row| row.get(0))?;
    Ok(())
}

/// Takes the write lock; it is released when the connection closes. Nothing is written.
fn hold_off(watch: &Connection) -> rusqlite::Result<()> {
    watch.pragma_update(None, "query_only", false)?;
    watch.execute_batch("BEGIN IMMEDIATE")
}

fn begin_together(watch: &Connection, connections: &[Connection]) -> rusqlite::Result<bool> {
    let version = || -> rusqlite::Result<i64> {
        watch.pragma_query_value(None, "data_version", |row| row.get(0))
    };
    let before = version()?;
    let began = connections.iter().try_for_each(|connection| {
        connection.execute_batch("BEGIN")?;
        touch(connection)
    });
    match began {
        Ok(()) if version()? == before => return Ok(true),
        Ok(()) => {}
        Err(source) if is_busy(&source) && connections.len() > 1 => {}
        Err(source) => return Err(source),
    }
    for connection in connections.iter().filter(|connection| !connection.is_autocommit()) {
        connection.execute_batch("ROLLBACK")?;
    }
    Ok(false)
}

/// Reads the schema: this opens the file and, inside of a transaction, fixes the moment.
fn touch(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// Ids are ordered by their bytes as stored, which is the order of UTF-8 only in such a file.
fn utf8_only(connection: &Connection, shown: &str) -> Result<(), StoreError> {
    let encoding: String = connection
        .pragma_query_value(None, "encoding", |row| row.get(0))
        .map_err(|source| failed(format!("cannot read {shown}"), source))?;
    if encoding == "UTF-8" {
        return Ok(());
    }
    Err(StoreError::new(Code::STORE_UNSUPPORTED, format!("{shown} stores its text as {encoding}"))
        .remedy("make a UTF-8 file of it: `sqlite3 FILE .dump`, then load that into a new file"))
}

/// The page size of a new file. A row stays on one page up to about a quarter of it, and one that
/// does not takes a whole further page: so vectors of many dimensions want the largest pages.
pub(super) fn page_size(dimensions: u32) -> u32 {
    if dimensions <= 1_536 { 32_768 } else { 65_536 }
}

/// Adds sqlite-vec's functions to one connection.
#[expect(unsafe_code, reason = "an extension that is linked in is started by a C call")]
fn register_sqlite_vec(connection: &Connection) -> rusqlite::Result<()> {
    use rusqlite::ffi;
    use std::ffi::{c_char, c_int};
    type Start = unsafe extern "C" fn(
        *mut ffi::sqlite3,
        *mut *mut c_char,
        *const ffi::sqlite3_api_routines,
    ) -> c_int;
    let mut message: *mut c_char = std::ptr::null_mut();
    // SAFETY: `sqlite3_vec_init` is declared without arguments by its crate, but has the type of
    // every extension's entry point, which `Start` spells out. It is compiled with SQLITE_CORE, so
    // that it calls SQLite directly and never reads the third argument. The handle is open for as
    // long as `connection` is borrowed, and no other thread uses it meanwhile. A message, if it
    // writes one, comes from SQLite's allocator, which `sqlite3_free` gives it back to.
    let status = unsafe {
        let start =
            std::mem::transmute::<*const (), Start>(sqlite_vec::sqlite3_vec_init as *const ());
        let status = start(connection.handle(), &raw mut message, std::ptr::null());
        ffi::sqlite3_free(message.cast());
        status
    };
    if status == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(status), None))
    }
}
