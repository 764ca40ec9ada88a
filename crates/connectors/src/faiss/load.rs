//! Loading a collection: ranges wait as parts beside it, and the whole takes its place at once.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use carnet_connect::{
    IdRange, Load, LoadMode, LoadRequest, MergedStream, NoProgress, Progress, RecordStream,
    Records, StoreError,
};
use carnet_model::{Code, CollectionContract, CollectionName};
use serde::{Deserialize, Serialize};

use super::assemble::{Source, assemble, discard, exchange, metric_of, new_files, take_back};
use super::collection::Collection;
use super::parts::{self, PartStream};
use super::place::{Exchange, Place, Root, cannot, sync_dir, write_whole};

const REQUEST: &str = "load.json";
/// The token of changes that are made at once. No load has it: their tokens have no hyphen.
const EDIT: &str = "edit-now";

/// What a staging directory is for, so that a load is only continued as it was begun.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    contract: CollectionContract,
    upsert: bool,
    /// Whether the store's directory was made for this load.
    made: bool,
}

/// A load into one collection.
#[derive(Debug)]
pub(super) struct FaissLoad {
    root: Root,
    place: Place,
    staging: PathBuf,
    request: LoadRequest,
    /// What was there when the load was begun and stays, for an upsert.
    base: Option<Collection>,
}

impl FaissLoad {
    /// Begins a load, or continues the one of this token.
    pub(super) fn begin(root: &Root, request: &LoadRequest) -> Result<Self, StoreError> {
        let token = &request.token;
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if token.is_empty() || token.len() > 32 || !token.bytes().all(letters) {
            return Err(StoreError::new(Code::BUG, format!("{token:?} cannot name a load")));
        }
        metric_of(&request.contract)?;
        let place = root.place(&request.contract.name)?;
        let mut load = Self {
            root: root.clone(),
            staging: staging(&place, token),
            place,
            request: request.clone(),
            base: None,
        };
        if load.place.exchange()? == Some(Exchange::Load(token.clone())) {
            return Ok(load);
        }
        load.place.ensure_whole()?;
        if request.mode == LoadMode::Upsert && load.place.is_taken() {
            let base = Collection::open(&request.contract.name, &load.place, &[])?;
            ensure_rebuildable(&base, &request.contract)?;
            load.base = Some(base);
        }
        load.make_staging()?;
        Ok(load)
    }

    fn make_staging(&self) -> Result<(), StoreError> {
        let made = !self.root.dir().exists();
        let dir = &self.staging;
        let failed = |error| StoreError::io(cannot("make", dir), error);
        fs::create_dir_all(dir).map_err(failed)?;
        let path = dir.join(REQUEST);
        let contract = self.request.contract.clone();
        let upsert = self.request.mode == LoadMode::Upsert;
        if let Ok(text) = fs::read(&path) {
            let begun: Option<Begun> = serde_json::from_slice(&text).ok();
            return match begun {
                Some(begun) if begun.contract == contract && begun.upsert == upsert => Ok(()),
                _ => Err(StoreError::new(
                    Code::STORE_HALF_LOADED,
                    format!("{} belongs to a load that was begun otherwise", dir.display()),
                )
                .remedy("continue that load as it was begun, or remove the directory")),
            };
        }
        let begun = Begun { contract, upsert, made };
        let text = serde_json::to_vec(&begun)
            .map_err(|error| StoreError::new(Code::BUG, "cannot write a load").because(error))?;
        write_whole(&path, &text)?;
        // Each new directory's name, up to the store and the one that it is in.
        for dir in dir.ancestors().skip(1) {
            sync_dir(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?;
            if Some(dir) == self.root.dir().parent() {
                break;
            }
        }
        Ok(())
    }

    /// Loaded records over what stays.
    fn over_base(
        &self,
        loaded: PartStream,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        let Some(base) = &self.base else { return Ok(Box::new(loaded)) };
        let base = Box::new(base.scan(range)?);
        let dimensions = self.request.contract.dimensions;
        Ok(Box::new(MergedStream::new(base, Box::new(loaded), dimensions)?))
    }

    fn begun_here(&self) -> bool {
        let text = fs::read(self.staging.join(REQUEST)).ok();
        text.and_then(|text| serde_json::from_slice::<Begun>(&text).ok())
            .is_some_and(|begun| begun.made)
    }
}

impl Load for FaissLoad {
    fn load_range(
        &self,
        range: &IdRange,
        records: &mut dyn RecordStream,
    ) -> Result<u64, StoreError> {
        parts::write(&self.staging, range, self.request.contract.dimensions, records)
    }

    fn read_back(&self, range: &IdRange) -> Result<Option<Box<dyn RecordStream + '_>>, StoreError> {
        let Some(part) = parts::find(&self.staging, range)? else { return Ok(None) };
        self.over_base(PartStream::new([part]), range).map(Some)
    }

    fn commit(&self, progress: &dyn Progress) -> Result<(), StoreError> {
        let token = &self.request.token;
        if self.place.exchange()? == Some(Exchange::Load(token.clone())) {
            let _lock = lock(&self.place)?;
            return exchange(&self.place, &self.staging, token);
        }
        let parts = parts::list(&self.staging)?;
        if parts.is_empty() {
            // Committed before, or nothing was ever loaded.
            return if self.staging.exists() { discard(&self.staging) } else { Ok(()) };
        }
        let _lock = lock(&self.place)?;
        self.place.ensure_whole()?;
        let contract = &self.request.contract;
        if self.base.is_none() && self.request.mode == LoadMode::Upsert && self.place.is_taken() {
            let what = format!("{} was made while it was loaded", contract.name);
            return Err(StoreError::new(Code::STORE_CHANGED, what).remedy("begin the load again"));
        }
        let plain = self.base.is_none() && !parts.iter().all(|part| part.has_faiss_ids());
        let records = plain.then(|| parts.iter().map(|part| part.records()).sum());
        let source = || self.over_base(PartStream::new(parts.iter().cloned()), &IdRange::all());
        let dir = new_files(&self.staging);
        assemble(&dir, contract, records, &source, progress)?;
        exchange(&self.place, &self.staging, token)
    }

    fn abandon(&self) -> Result<Vec<String>, StoreError> {
        let made = self.begun_here();
        if self.place.exchange()? == Some(Exchange::Load(self.request.token.clone())) {
            let _lock = lock(&self.place)?;
            take_back(&self.place, &self.staging)?;
        }
        if self.staging.exists() {
            discard(&self.staging)?;
        }
        self.root.tidy(&self.place);
        if made {
            // Fails if something else was put there meanwhile, which then stays.
            let _ = fs::remove_dir(self.root.dir());
        }
        Ok(Vec::new())
    }
}

fn staging(place: &Place, token: &str) -> PathBuf {
    place.dir().join(format!(".carnet-load-{token}"))
}

/// Keeps others from exchanging the files of a collection; released when it is dropped, and when
/// the process ends.
fn lock(place: &Place) -> Result<File, StoreError> {
    let failed = |error| StoreError::io(cannot("lock", place.dir()), error);
    let dir = File::open(place.dir()).map_err(failed)?;
    match dir.try_lock() {
        Ok(()) => Ok(dir),
        Err(TryLockError::WouldBlock) => Err(StoreError::new(
            Code::STORE_BUSY,
            format!("another process changes {}", place.dir().display()),
        )
        .remedy("wait until it has ended")),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Refuses to rebuild what would come back in another form.
fn ensure_rebuildable(base: &Collection, contract: &CollectionContract) -> Result<(), StoreError> {
    let name = &contract.name;
    if base.contract.dimensions != contract.dimensions || base.contract.metric != contract.metric {
        let what = format!("{name} is there with other dimensions or another metric");
        return Err(StoreError::new(Code::CONTRACT_DIFFERS, what)
            .remedy("replace the collection, or load under another name"));
    }
    if base.index.kind() != "flat" || !base.table.is_parquet() {
        let kind = base.index.kind();
        let table = if base.table.is_parquet() { "Parquet" } else { "SQLite" };
        let what = format!(
            "{name} is an index of kind {kind} with metadata in {table}: a change would rebuild it \
             as flat with Parquet"
        );
        return Err(StoreError::new(Code::STORE_UNSUPPORTED, what)
            .remedy("copy it into another directory, or replace it as a whole"));
    }
    Ok(())
}

/// Changes a collection at once: the records that `change` gives take the place of those that are
/// there. A change that was cut off in the exchange of files is completed first.
pub(super) fn edit(
    place: &Place,
    name: &CollectionName,
    change: impl for<'c> FnOnce(&'c Collection) -> Result<Box<Source<'c>>, StoreError>,
) -> Result<(), StoreError> {
    let _lock = lock(place)?;
    let staging = staging(place, EDIT);
    if place.exchange()? == Some(Exchange::Load(EDIT.to_owned())) {
        exchange(place, &staging, EDIT)?;
    }
    let base = Collection::open(name, place, &[])?;
    ensure_rebuildable(&base, &base.contract)?;
    let source = change(&base)?;
    let dir = new_files(&staging);
    let made = assemble(&dir, &base.contract, None, source.as_ref(), &NoProgress);
    if let Err(error) = made {
        let _ = discard(&staging);
        return Err(error);
    }
    exchange(place, &staging, EDIT)
}

/// A stream without the records of these ids.
pub(super) struct Without<'s> {
    pub(super) stream: Box<dyn RecordStream + 's>,
    pub(super) ids: BTreeSet<String>,
}

impl RecordStream for Without<'_> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        while let Some(batch) = self.stream.next()? {
            let kept = batch.iter().filter(|record| !self.ids.contains(record.id));
            let dimensions = u32::try_from(batch.dimensions()).unwrap_or(u32::MAX);
            let kept = Records::collect(dimensions, kept)?;
            if !kept.is_empty() {
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }
}
