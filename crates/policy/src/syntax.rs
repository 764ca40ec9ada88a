//! What modules say, read from their syntax trees: which rules they have, and what they call.

use std::collections::{BTreeMap, BTreeSet};

use carnet_model::Code;
use serde_json::Value;

use crate::engine::PolicyFailure;

/// A rule that is no default: its value follows from a body, or stands in its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The module that it stands in.
    pub(crate) module: String,
    /// The first and the last line of it.
    pub(crate) lines: (u32, u32),
}

/// The rules of all modules.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Each of them.
    pub(crate) all: Vec<Rule>,
    /// Their whole names, such as `data.carnet.admission.deny`.
    names: BTreeSet<String>,
    functions: BTreeSet<String>,
}

impl Rules {
    /// Whether there is a rule of this name, defaults included.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Reads the syntax trees of all modules, as the engine writes them.
    pub(crate) fn read(trees: &str) -> Result<(Self, Vec<Value>), PolicyFailure> {
        let trees: Vec<Value> = serde_json::from_str(trees).map_err(|_| too_deep())?;
        let mut rules = Self::default();
        for tree in &trees {
            rules.add(tree);
        }
        Ok((rules, trees))
    }

    fn add(&mut self, tree: &Value) {
        let package = package_of(tree);
        let (file, text) = source_of(tree);
        for rule in tree.pointer("/ast/rules").and_then(Value::as_array).into_iter().flatten() {
            let (spec, default) = (rule.get("Spec"), rule.get("Default"));
            let head = spec.and_then(|spec| spec.get("head")).and_then(Value::as_object);
            let (kind, head) = match head.and_then(|head| head.iter().next()) {
                Some((kind, head)) => (kind.as_str(), Some(head)),
                None => ("Default", default),
            };
            let name = head.and_then(|head| head.get("refr")).and_then(path_of).unwrap_or_default();
            let whole = format!("{package}.{}", name.join("."));
            let has_args = default
                .and_then(|it| it.get("args")?.as_array())
                .is_some_and(|args| !args.is_empty());
            if kind == "Func" || has_args {
                self.functions.insert(whole.clone());
            }
            self.names.insert(whole);
            if let Some(lines) = spec.and_then(|spec| lines_of(spec.get("span")?, text)) {
                self.all.push(Rule { module: file.to_owned(), lines });
            }
        }
    }

    /// Refuses a module that calls something else than a function of the policy or a builtin of the
    /// list, and one that puts another function in the place of one.
    pub(crate) fn check_calls(
        &self,
        trees: &[Value],
        builtins: &[String],
    ) -> Result<(), PolicyFailure> {
        for tree in trees {
            let calls = Calls {
                rules: self,
                builtins,
                package: package_of(tree),
                imports: imports_of(tree),
                file: source_of(tree).0,
            };
            calls.look(tree.get("ast").unwrap_or(&Value::Null))?;
        }
        Ok(())
    }
}

struct Calls<'a> {
    rules: &'a Rules,
    builtins: &'a [String],
    package: String,
    /// What stands for what: an alias and the path behind it.
    imports: BTreeMap<String, Vec<String>>,
    file: &'a str,
}

impl Calls<'_> {
    fn look(&self, node: &Value) -> Result<(), PolicyFailure> {
        match node {
            Value::Object(members) => {
                if let Some(call) = members.get("Call") {
                    self.call(call)?;
                }
                if let Some(mods) = members.get("with_mods").and_then(Value::as_array) {
                    mods.iter().try_for_each(|one| self.with(one))?;
                }
                members.values().try_for_each(|one| self.look(one))
            }
            Value::Array(items) => items.iter().try_for_each(|one| self.look(one)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn call(&self, call: &Value) -> Result<(), PolicyFailure> {
        let line = call.pointer("/span/line").and_then(Value::as_u64).unwrap_or_default();
        let name = call.get("fcn").and_then(path_of).map(|path| path.join("."));
        let Some(name) = name else {
            return Err(self.refused(line, "calls what has no plain name"));
        };
        if self.is_own(&name) || self.builtins.binary_search(&name).is_ok() {
            return Ok(());
        }
        let what = format!(
            "calls {name}, which is neither a function of this policy nor a builtin whose answer \
             is always the same"
        );
        Err(self.refused(line, &what))
    }

    /// `with` may change the input and the data, and nothing that is called.
    fn with(&self, one: &Value) -> Result<(), PolicyFailure> {
        let line = one.pointer("/span/line").and_then(Value::as_u64).unwrap_or_default();
        let path = one.get("refr").and_then(path_of).unwrap_or_default();
        let name = path.join(".");
        let root = path.first().map(String::as_str);
        if matches!(root, Some("input" | "data")) && !self.is_own(&name) {
            return Ok(());
        }
        Err(self.refused(line, &format!("puts something in the place of {name:?}")))
    }

    fn is_own(&self, name: &str) -> bool {
        let functions = &self.rules.functions;
        let (root, rest) = name.split_once('.').map_or((name, ""), |(root, rest)| (root, rest));
        let through = self.imports.get(root).map(|path| {
            if rest.is_empty() { path.join(".") } else { format!("{}.{rest}", path.join(".")) }
        });
        functions.contains(name)
            || functions.contains(&format!("{}.{name}", self.package))
            || through.is_some_and(|name| functions.contains(&name))
    }

    fn refused(&self, line: u64, what: &str) -> PolicyFailure {
        let what = format!("{}:{line} {what}", self.file);
        let remedy = "take the call out: `carnet explain policy.builtin` says what may be called; \
                      the time and everything else from outside belong into the input";
        PolicyFailure::new(Code::POLICY_BUILTIN, what, remedy)
    }
}

pub(crate) fn too_deep() -> PolicyFailure {
    let what = "a module is nested too deeply";
    PolicyFailure::new(Code::POLICY_LIMIT, what, "split its longest rule into several")
}

/// The parts of `a.b["c"]`; `None` if a part is not a plain name.
fn path_of(node: &Value) -> Option<Vec<String>> {
    if let Some(var) = node.get("Var") {
        return Some(vec![var.get("value")?.as_str()?.to_owned()]);
    }
    if let Some(dot) = node.get("RefDot") {
        let mut path = path_of(dot.get("refr")?)?;
        path.push(dot.pointer("/field/1")?.as_str()?.to_owned());
        return Some(path);
    }
    let brack = node.get("RefBrack")?;
    let mut path = path_of(brack.get("refr")?)?;
    path.push(brack.pointer("/index/String/value")?.as_str()?.to_owned());
    Some(path)
}

fn package_of(tree: &Value) -> String {
    let path = tree.pointer("/ast/package/refr").and_then(path_of).unwrap_or_default();
    format!("data.{}", path.join("."))
}

fn source_of(tree: &Value) -> (&str, &str) {
    let text = |pointer| tree.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    (text("/source/file"), text("/source/contents"))
}

fn imports_of(tree: &Value) -> BTreeMap<String, Vec<String>> {
    let (_, text) = source_of(tree);
    let imports = tree.pointer("/ast/imports").and_then(Value::as_array).into_iter().flatten();
    let named = imports.filter_map(|import| {
        let path = import.get("refr").and_then(path_of)?;
        let alias = import.get("as").and_then(|span| text_of(span, text)).map(str::to_owned);
        Some((alias.or_else(|| path.last().cloned())?, path))
    });
    named.collect()
}

fn text_of<'t>(span: &Value, text: &'t str) -> Option<&'t str> {
    let offset = |name: &str| usize::try_from(span.get(name)?.as_u64()?).ok();
    text.get(offset("start")?..offset("end")?)
}

/// The first and the last line of a span.
fn lines_of(span: &Value, text: &str) -> Option<(u32, u32)> {
    let first = u32::try_from(span.get("line")?.as_u64()?).ok()?;
    let more = text_of(span, text)?.trim_end().matches('\n').count();
    Some((first, first.saturating_add(u32::try_from(more).ok()?)))
}
