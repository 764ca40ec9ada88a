//! `carnet diff`, and the same for snapshots.

use carnet_bundle::{CollectionDiff, DeclaredView, DiffReport, Difference, DifferenceKind, diff};
use carnet_connect::VectorRepository;
use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;

use super::Setting;
use crate::amount::{count, counted};
use crate::cli::TypedStore;
use crate::failure::Failure;
use crate::sheet::{Sheet, WIDTH, wrap};
use crate::stores::{Declared, Tables, nothing_there, open_any};

/// Compare two stores record by record, and show the first differences with both values.
///
/// Ends with status 0 only if every record of both was compared and all are equal, and so are the
/// contracts. Tables and declarations describe the first store.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The first store.
    a: TypedStore,
    /// The second store.
    b: TypedStore,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    tables: Tables,
    #[command(flatten)]
    declared: Declared,
}

/// How much of the differences is shown.
#[derive(Debug, Args)]
pub(super) struct Shown {
    /// Show this many differing records of each collection; all are counted.
    #[arg(long, value_name = "N", default_value = "10")]
    first: usize,
}

#[derive(Serialize)]
struct View<'r> {
    a: &'r str,
    b: &'r str,
    equal: bool,
    #[serde(flatten)]
    report: &'r DiffReport,
}

impl Diff {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let a = open_any(&self.a.url()?, &self.tables.options(setting.environment)?)?;
        let plain = Tables::default().options(setting.environment)?;
        let b = open_any(&self.b.url()?, &plain)?;
        let sides = [(a.label(), a.as_ref()), (b.label(), b.as_ref())];
        compare(setting, sides, &self.declared, &self.shown)
    }
}

/// Compares two stores, each with the name that the person gave it, and shows what differs. Their
/// failures bear these names already.
pub(super) fn compare(
    setting: &Setting<'_>,
    [(name_a, a), (name_b, b)]: [(&str, &dyn VectorRepository); 2],
    declared: &Declared,
    shown: &Shown,
) -> Result<Exit, Failure> {
    let (view_a, view_b) = (a.snapshot()?, b.snapshot()?);
    for (label, view) in [(name_a, &view_a), (name_b, &view_b)] {
        if view.collections()?.is_empty() {
            return Err(nothing_there(label));
        }
    }
    let contracts = declared.contracts(view_a.as_ref())?;
    let view_a = DeclaredView::new(view_a.as_ref(), &contracts);
    let progress = setting.progress();
    let report = diff(&view_a, view_b.as_ref(), shown.first, &setting.work(progress.as_ref()))?;
    drop(progress);
    let view = View { a: name_a, b: name_b, equal: report.is_equal(), report: &report };
    setting.screen.show(&view, text)?;
    match report.code() {
        None => Ok(Exit::Done),
        Some(code) => Err(failure(code, &report)),
    }
}

fn failure(code: Code, report: &DiffReport) -> Failure {
    let records: u64 =
        report.collections.iter().map(|c| c.differing + c.only_in_a + c.only_in_b).sum();
    let failure = if code == Code::CONTRACT_DIFFERS {
        Failure::new(code, "the records are equal, the contracts are not")
    } else if records > 0 {
        let records = counted(records, "record differs", "records differ");
        Failure::new(code, format!("the contents differ: {records}"))
    } else {
        Failure::new(code, "the contents differ: a collection is on one side only")
    };
    failure.changed("nothing was changed")
}

fn text(view: &View<'_>) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("a  {}", view.a));
    sheet.line(format_args!("b  {}", view.b));
    for collection in &view.report.collections {
        sheet.gap();
        write_collection(&mut sheet, collection);
    }
    for (names, side) in [(&view.report.only_in_a, "a"), (&view.report.only_in_b, "b")] {
        for name in names {
            sheet.gap();
            sheet.line(format_args!("{name}: only in {side}"));
        }
    }
    sheet.text()
}

fn write_collection(sheet: &mut Sheet, found: &CollectionDiff) {
    let name = if found.a == found.b {
        found.a.to_string()
    } else {
        format!("{} and {}", found.a, found.b)
    };
    if found.is_equal() {
        let records = counted(found.same, "record", "records");
        sheet.line(format_args!("{name}: equal, {records} compared bit by bit"));
        return;
    }
    let mut parts = vec![format!("{} equal", count(found.same))];
    for (number, what) in [
        (found.differing, "differ"),
        (found.only_in_a, "only in a"),
        (found.only_in_b, "only in b"),
    ] {
        if number > 0 {
            parts.push(format!("{} {what}", count(number)));
        }
    }
    sheet.line(format_args!("{name}: records: {}", parts.join(", ")));
    let fields: Vec<_> =
        found.fields.iter().map(|(field, number)| format!("{field} {}", count(*number))).collect();
    if !fields.is_empty() {
        sheet.line(format_args!("  differing fields: {}", fields.join(", ")));
    }
    for field in &found.contract {
        sheet.line(format_args!("  contract: {}", field.field));
        value(sheet, "a", &field.a);
        value(sheet, "b", &field.b);
    }
    for difference in &found.first {
        write_difference(sheet, difference);
    }
    let shown = found.first.len() as u64;
    let all = found.differing + found.only_in_a + found.only_in_b;
    if all > shown {
        sheet.line(format_args!("  … and {} more (--first N shows more)", count(all - shown)));
    }
}

fn write_difference(sheet: &mut Sheet, difference: &Difference) {
    // As JSON: an id may hold whatever a terminal should not see.
    let id = serde_json::Value::from(difference.id.as_str());
    match &difference.kind {
        DifferenceKind::OnlyInA => sheet.line(format_args!("  {id}: only in a")),
        DifferenceKind::OnlyInB => sheet.line(format_args!("  {id}: only in b")),
        DifferenceKind::Differs(fields) => {
            for field in fields {
                sheet.line(format_args!("  {id}: {}", field.field));
                value(sheet, "a", &field.a);
                value(sheet, "b", &field.b);
            }
        }
    }
}

/// One side's value, wrapped.
fn value(sheet: &mut Sheet, side: &str, text: &str) {
    let lines = wrap(&text.replace(char::is_control, "\u{fffd}"), WIDTH - 7);
    let mut label = side;
    for line in lines {
        sheet.line(format_args!("    {label}  {line}"));
        label = " ";
    }
}
