//! Search indexes: what a table has, and building one with its own progress.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carnet_connect::{Job, Progress, StoreError};
use carnet_model::{Code, CollectionContract, IndexSpec, Metric};
use postgres::Client;

use super::connect::{Connector, begin_writing};
use super::error::failed;
use super::sql::{ident, literal};
use super::table::{Table, rows, text};

/// The longest vector that an index takes.
pub(super) const INDEXED_DIMENSIONS_MAX: u32 = 2_000;

/// Our word for an index kind, pgvector's, and its parameters with their defaults.
struct Kind {
    ours: &'static str,
    method: &'static str,
    parameters: &'static [(&'static str, i64)],
}

const KINDS: [Kind; 2] = [
    Kind { ours: "hnsw", method: "hnsw", parameters: &[("m", 16), ("ef_construction", 64)] },
    Kind { ours: "ivf_flat", method: "ivfflat", parameters: &[("lists", 100)] },
];

/// The ending of the operator classes of a metric.
fn operators(metric: Metric) -> &'static str {
    match metric {
        Metric::L2 => "l2_ops",
        Metric::InnerProduct => "ip_ops",
        Metric::Cosine => "cosine_ops",
    }
}

/// The operator that gives a metric's distance.
pub(super) fn operator(metric: Metric) -> &'static str {
    match metric {
        Metric::L2 => "<->",
        Metric::InnerProduct => "<#>",
        Metric::Cosine => "<=>",
    }
}

/// Method, options and operator class of each index on the vector column.
fn listed(client: &mut Client, table: &Table) -> Result<Vec<[String; 3]>, StoreError> {
    let sql = format!(
        "SELECT m.amname, array_to_string(c.reloptions, ','), o.opcname \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam \
         JOIN pg_opclass o ON o.oid = i.indclass[0] \
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
         WHERE i.indrelid = {} AND a.attname = {} AND i.indisvalid \
           AND m.amname IN ('hnsw', 'ivfflat') ORDER BY c.relname COLLATE \"C\"",
        table.oid,
        literal(&table.parts.vector.name)
    );
    let found = rows(client, &sql)
        .map_err(|e| failed(format!("cannot list the indexes of {}", table.place()), e))?;
    Ok(found.iter().map(|row| [0, 1, 2].map(|n| text(row, n).to_owned())).collect())
}

/// The index that searches use; the first by name where there are several.
pub(super) fn find(client: &mut Client, table: &Table) -> Result<Option<IndexSpec>, StoreError> {
    let listed = listed(client, table)?;
    let Some([method, options, _]) = listed.first() else { return Ok(None) };
    let Some(kind) = KINDS.iter().find(|kind| kind.method == method) else { return Ok(None) };
    let mut parameters: std::collections::BTreeMap<String, i64> =
        kind.parameters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    for option in options.split(',') {
        if let Some((name, value)) = option.split_once('=')
            && let Ok(value) = value.parse()
        {
            parameters.insert(name.to_owned(), value);
        }
    }
    Ok(Some(IndexSpec { kind: kind.ours.to_owned(), parameters }))
}

/// The metric that the table's indexes are made for; `None` without an index, or with several.
pub(super) fn metric(client: &mut Client, table: &Table) -> Result<Option<Metric>, StoreError> {
    let mut found: Vec<Metric> = Vec::new();
    for [_, _, class] in listed(client, table)? {
        let metrics = [Metric::L2, Metric::InnerProduct, Metric::Cosine];
        let metric = metrics.into_iter().find(|metric| class.ends_with(operators(*metric)));
        found.extend(metric.filter(|metric| !found.contains(metric)));
    }
    Ok(if let [metric] = found.as_slice() { Some(*metric) } else { None })
}

/// The index that a contract asks for, checked before anything is copied; `None`: search is exact.
fn wanted(contract: &CollectionContract) -> Result<Option<(&'static Kind, String)>, StoreError> {
    let Some(spec) = contract.index.as_ref().filter(|spec| spec.kind != "flat") else {
        return Ok(None);
    };
    let name = &contract.name;
    let refused = |what: String, remedy: &str| {
        Err(StoreError::new(Code::STORE_UNSUPPORTED, what).remedy(remedy))
    };
    let Some(kind) = KINDS.iter().find(|kind| kind.ours == spec.kind) else {
        let what = format!("{name} asks for an index of the kind {}", spec.kind);
        return refused(what, "ask for flat, hnsw or ivf_flat");
    };
    let Some(metric) = contract.metric else {
        return refused(format!("{name} asks for an index without a metric"), "declare the metric");
    };
    if contract.dimensions > INDEXED_DIMENSIONS_MAX {
        let what = format!("an index of {name} with {} dimensions", contract.dimensions);
        return refused(what, "an index takes at most 2000 dimensions; ask for flat");
    }
    let mut options = Vec::new();
    for (parameter, value) in &spec.parameters {
        if !kind.parameters.iter().any(|(known, _)| known == parameter) {
            let what = format!("the index of {name} has a parameter {parameter}");
            return refused(what, "hnsw has m and ef_construction, ivf_flat has lists");
        }
        options.push(format!("{parameter} = {value}"));
    }
    let with =
        if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
    Ok(Some((kind, format!("vector_{}){with}", operators(metric)))))
}

/// Refuses an index that cannot be built.
pub(super) fn check(contract: &CollectionContract) -> Result<(), StoreError> {
    wanted(contract).map(|_| ())
}

/// What to build.
pub(super) struct Build<'b> {
    pub(super) contract: &'b CollectionContract,
    pub(super) schema: &'b str,
    pub(super) table: &'b str,
    pub(super) index: &'b str,
    /// How many records the table holds.
    pub(super) records: u64,
}

impl Build<'_> {
    /// Builds the declared index unless it is there. Another connection watches how far it is.
    pub(super) fn run(
        &self,
        connector: &Connector,
        client: &mut Client,
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        let Some((kind, operators)) = wanted(self.contract)? else { return Ok(()) };
        let name = &self.contract.name;
        let what = || format!("cannot build the {} index of {name}", kind.ours);
        let place = format!("{}.{}", ident(self.schema), ident(self.index));
        let mut transaction = begin_writing(client)?;
        let sql = format!("SELECT to_regclass({})::oid", literal(&place));
        let there = transaction
            .query_typed_one(&sql, &[])
            .and_then(|row| row.try_get::<_, Option<u32>>(0))
            .map_err(|e| failed(what(), e))?
            .is_some();
        if there {
            return transaction.commit().map_err(|e| failed(what(), e));
        }
        let pid = transaction
            .query_typed_one("SELECT pg_backend_pid()", &[])
            .and_then(|row| row.try_get::<_, i32>(0))
            .map_err(|e| failed(what(), e))?;
        let sql = format!(
            "CREATE INDEX {} ON {}.{} USING {} (embedding {operators}",
            ident(self.index),
            ident(self.schema),
            ident(self.table),
            kind.method
        );
        let title = format!("building the {} index of {name}", kind.ours);
        let job = progress.job(&title, "records", Some(self.records));
        let over = AtomicBool::new(false);
        let built = std::thread::scope(|scope| {
            let watch = scope.spawn(|| watch(connector, pid, self.records, &over, job.as_ref()));
            let built = transaction.batch_execute(&sql).and_then(|()| transaction.commit());
            over.store(true, Ordering::Release);
            watch.thread().unpark();
            built
        });
        built.map_err(|error| failed(what(), error))
    }
}

/// Reports how many records are in the index, five times a second. Nothing depends on it: a watcher
/// that cannot connect just reports nothing until the end.
fn watch(connector: &Connector, pid: i32, records: u64, over: &AtomicBool, job: &dyn Job) {
    let mut seen = 0;
    let sql =
        format!("SELECT max(tuples_done) FROM pg_stat_progress_create_index WHERE pid = {pid}");
    let mut client = connector.connect().ok();
    while !over.load(Ordering::Acquire) {
        if let Some(open) = client.as_mut() {
            match rows(open, &sql) {
                Ok(rows) => {
                    let done: u64 = rows.first().map_or(0, |row| text(row, 0).parse().unwrap_or(0));
                    let done = done.min(records);
                    job.add(done.saturating_sub(seen));
                    seen = seen.max(done);
                }
                Err(_) => client = None,
            }
        }
        std::thread::park_timeout(Duration::from_millis(200));
    }
    job.add(records - seen);
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_model::CollectionName;

    fn contract(kind: &str, parameter: &str) -> CollectionContract {
        let mut contract = CollectionContract::unknown(CollectionName::standard(), 384);
        contract.metric = Some(Metric::Cosine);
        let parameters = [(parameter.to_owned(), 8)].into_iter().collect();
        contract.index = Some(IndexSpec { kind: kind.to_owned(), parameters });
        contract
    }

    #[test]
    fn an_index_is_checked_before_anything_is_copied() {
        assert_eq!(
            wanted(&contract("hnsw", "m")).unwrap().unwrap().1,
            "vector_cosine_ops) WITH (m = 8)"
        );
        assert!(check(&contract("ivf_flat", "lists")).is_ok());
        assert!(check(&contract("flat", "anything")).is_ok());
        assert!(check(&contract("pq", "m")).is_err());
        assert!(check(&contract("hnsw", "m = 4); DROP TABLE x; --")).is_err());
        assert!(check(&CollectionContract { dimensions: 2_001, ..contract("hnsw", "m") }).is_err());
        assert!(check(&CollectionContract { metric: None, ..contract("hnsw", "m") }).is_err());
    }
}
