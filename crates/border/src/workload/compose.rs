//! The subset of compose files that travels: one service with an image, a command, an environment,
//! ports, mounts of its own config and a health check. Every other key is refused by name.

use std::collections::BTreeMap;

use carnet_document::Diagnostic;
use carnet_document::yaml::{Entry, Node, Value};

use super::definition::{
    CONFIG_FOLDER, Healthcheck, Mount, Port, Protocol, Service, StatefulKind, StatefulPart,
    Workload,
};
use super::reading::{Reading, value};

const KEYS: &[&str] = &["services", "volumes"];
const SERVICE_KEYS: &[&str] =
    &["image", "command", "environment", "ports", "volumes", "healthcheck"];
const HEALTH_KEYS: &[&str] = &["test", "interval", "timeout", "retries", "start_period"];

pub(super) fn read(text: &str) -> Result<Workload, Vec<Diagnostic>> {
    let mut reading = Reading::default();
    let documents = reading.documents(text, 1);
    let read = documents.first().and_then(|root| file(&mut reading, root));
    reading.end(read, text)
}

fn file(reading: &mut Reading, root: &Node) -> Option<Workload> {
    let entries = reading.map(root, "the file");
    for entry in entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
        reading.key(entry, "the file", KEYS);
    }
    let mut stateful = Vec::new();
    if let Some(volumes) = value(entries, "volumes") {
        for volume in reading.map(volumes, "`volumes`") {
            let line = volume.key_span.line;
            keep(&mut stateful, &volume.key, None, line);
        }
    }
    let Some(services) = value(entries, "services") else {
        reading.missing(root.span, "services", "the file");
        return None;
    };
    let services = reading.map(services, "`services`");
    for more in services.iter().skip(1) {
        let what = format!("there is a second service, `{}`", more.key);
        reading.unsupported(more.key_span, what, "move each service as a workload of its own");
    }
    let service = service(reading, services.first()?, &mut stateful);
    Some(Workload::Compose { service: Box::new(service), stateful })
}

/// Keeps a part with state once: a declared volume is known better by where it is mounted.
fn keep(stateful: &mut Vec<StatefulPart>, name: &str, mounted_at: Option<&str>, line: usize) {
    let part = StatefulPart {
        kind: StatefulKind::VolumeClaim,
        name: name.to_owned(),
        mounted_at: mounted_at.map(str::to_owned),
        line,
    };
    match stateful.iter_mut().find(|it| it.name == name && it.mounted_at.is_none()) {
        Some(declared) => *declared = part,
        None => stateful.push(part),
    }
}

fn service(reading: &mut Reading, entry: &Entry, stateful: &mut Vec<StatefulPart>) -> Service {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if entry.key.is_empty() || entry.key.len() > 64 || !entry.key.chars().all(word) {
        reading.malformed(
            entry.key_span,
            "the service has no proper name",
            "use letters, digits and -_.",
        );
    }
    let whose = format!("the service `{}`", entry.key);
    let entries = reading.map(&entry.node, &whose);
    let mut service = Service {
        name: entry.key.clone(),
        image: String::new(),
        command: Vec::new(),
        environment: BTreeMap::new(),
        ports: Vec::new(),
        mounts: Vec::new(),
        healthcheck: None,
    };
    for one in entries {
        let node = &one.node;
        match one.key.as_str() {
            "image" => service.image = filled(reading, node, "`image`").unwrap_or_default(),
            "command" => service.command = command(reading, node),
            "environment" => service.environment = environment(reading, node),
            "ports" => {
                let items = reading.list(node, "`ports`");
                service.ports = items.iter().filter_map(|item| port(reading, item)).collect();
            }
            "volumes" => {
                let items = reading.list(node, "`volumes`");
                let mounts = items.iter().filter_map(|item| volume(reading, item, stateful));
                service.mounts = mounts.collect();
            }
            "healthcheck" => service.healthcheck = healthcheck(reading, node),
            _ => reading.key(one, &whose, SERVICE_KEYS),
        }
    }
    if value(entries, "image").is_none() {
        reading.missing(entry.key_span, "image", &whose);
    }
    service
}

/// A text in which compose would fill nothing in: what is not in the file would differ on the other
/// side.
fn filled(reading: &mut Reading, node: &Node, what: &str) -> Option<String> {
    let text = reading.scalar(node, what)?;
    let plain = text.replace("$$", "");
    if plain.contains('$') {
        let what = format!("{what} takes a variable of whoever starts it");
        reading.unsupported(node.span, what, "write the value, and `$$` for a dollar sign");
        return None;
    }
    Some(text.replace("$$", "$"))
}

fn command(reading: &mut Reading, node: &Node) -> Vec<String> {
    if let Value::Text(text) = &node.value {
        if text.contains(['"', '\'', '\\', '`', '|', '&', ';', '<', '>', '*', '?', '~']) {
            let what = "`command` is a line that only a shell understands";
            reading.unsupported(node.span, what, "write it as a list");
            return Vec::new();
        }
        let line = filled(reading, node, "`command`").unwrap_or_default();
        return line.split_whitespace().map(str::to_owned).collect();
    }
    let items = reading.list(node, "`command`");
    items.iter().filter_map(|item| filled(reading, item, "a word of `command`")).collect()
}

fn environment(reading: &mut Reading, node: &Node) -> BTreeMap<String, String> {
    let mut read = BTreeMap::new();
    let mut add = |reading: &mut Reading, name: &str, text: String, node: &Node| {
        if !variable(name) {
            reading.malformed(
                node.span,
                "a variable has no proper name",
                "use letters, digits and _",
            );
        } else if read.insert(name.to_owned(), text).is_some() {
            reading.malformed(node.span, format!("the variable {name} stands twice"), "keep one");
        }
    };
    if let Value::Map(entries) = &node.value {
        for entry in entries {
            if let Some(text) = filled(reading, &entry.node, "a value of `environment`") {
                add(reading, &entry.key, text, &entry.node);
            }
        }
        return read;
    }
    for item in reading.list(node, "`environment`") {
        let Some(text) = filled(reading, item, "an item of `environment`") else { continue };
        if let Some((name, text)) = text.split_once('=') {
            add(reading, name, text.to_owned(), item);
        } else {
            let what = format!("the variable {text} comes from whoever starts it");
            reading.unsupported(item.span, what, "write NAME=VALUE");
        }
    }
    read
}

fn variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `[ADDRESS:]OUTSIDE:INSIDE[/PROTOCOL]`.
fn port(reading: &mut Reading, node: &Node) -> Option<Port> {
    let text = filled(reading, node, "an item of `ports`")?;
    let (rest, protocol) = match text.rsplit_once('/') {
        Some((rest, "tcp")) => (rest, Some(Protocol::Tcp)),
        Some((rest, "udp")) => (rest, Some(Protocol::Udp)),
        Some(_) => ("", None),
        None => (text.as_str(), Some(Protocol::Tcp)),
    };
    let read = rest.rsplit_once(':').and_then(|(outside, inside)| {
        let (address, outside) = match outside.rsplit_once(':') {
            Some((address, outside)) => (Some(address), outside),
            None => (None, outside),
        };
        let bare = address.map(|it| it.trim_start_matches('[').trim_end_matches(']'));
        let address = match bare {
            Some(bare) => Some(bare.parse::<core::net::IpAddr>().ok()?.to_string()),
            None => None,
        };
        let number = |text: &str| text.parse::<u16>().ok().filter(|it| *it != 0);
        Some(Port {
            address,
            outside: number(outside)?,
            inside: number(inside)?,
            protocol: protocol?,
        })
    });
    if read.is_none() {
        let remedy = "write \"OUTSIDE:INSIDE\" or \"ADDRESS:OUTSIDE:INSIDE\", one port an item";
        reading.unsupported(node.span, format!("the port {text} is not taken"), remedy);
    }
    read
}

fn volume(reading: &mut Reading, node: &Node, stateful: &mut Vec<StatefulPart>) -> Option<Mount> {
    let text = filled(reading, node, "an item of `volumes`")?;
    let mut parts = text.split(':');
    let (first, second, mode) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let Some(to) = second else {
        // Without a source it is a volume that the runtime makes and names.
        keep(stateful, first, Some(first), node.span.line);
        return None;
    };
    let named = !first.starts_with(['.', '/', '~']) && !first.is_empty();
    if named {
        keep(stateful, first, Some(to), node.span.line);
        return None;
    }
    let beside = first.strip_prefix("./").filter(|path| below_config(path));
    let Some(from) = beside else {
        let what = format!("{first} is mounted from this machine");
        let remedy = "put the file into the folder `config` beside the definition, which travels";
        reading.unsupported(node.span, what, remedy);
        return None;
    };
    if mode != Some("ro") || parts.next().is_some() {
        let what = format!("{first} could be written to, and what is written would not travel");
        reading.unsupported(node.span, what, "add `:ro`");
        return None;
    }
    if !to.starts_with('/') || to.split('/').any(|part| part == "..") {
        reading.malformed(node.span, format!("{to} is no absolute path"), "begin it with /");
        return None;
    }
    Some(Mount { from: from.trim_end_matches('/').to_owned(), to: to.to_owned() })
}

fn below_config(path: &str) -> bool {
    let mut parts = path.trim_end_matches('/').split('/');
    parts.next() == Some(CONFIG_FOLDER) && parts.all(|part| !["", ".", ".."].contains(&part))
}

fn healthcheck(reading: &mut Reading, node: &Node) -> Option<Healthcheck> {
    let entries = reading.map(node, "`healthcheck`");
    let mut health = Healthcheck {
        test: Vec::new(),
        // What compose says where nothing is said.
        interval_ms: 30_000,
        timeout_ms: 30_000,
        retries: 3,
        start_period_ms: 0,
    };
    for entry in entries {
        let node = &entry.node;
        match entry.key.as_str() {
            "test" => health.test = test(reading, node)?,
            "interval" => health.interval_ms = duration(reading, node)?,
            "timeout" => health.timeout_ms = duration(reading, node)?,
            "start_period" => health.start_period_ms = duration(reading, node)?,
            "retries" => {
                let number = reading.number(node, "`retries`")?;
                let number = u32::try_from(number).ok().filter(|it| (1..=1000).contains(it));
                if number.is_none() {
                    reading.malformed(node.span, "`retries` is out of range", "write 1 to 1000");
                }
                health.retries = number?;
            }
            _ => reading.key(entry, "`healthcheck`", HEALTH_KEYS),
        }
    }
    if health.test.is_empty() {
        reading.missing(node.span, "test", "`healthcheck`");
        return None;
    }
    Some(health)
}

/// A text is for the shell; a list says which of both it is.
fn test(reading: &mut Reading, node: &Node) -> Option<Vec<String>> {
    if let Value::Text(_) = &node.value {
        let line = filled(reading, node, "`test`")?;
        return Some(vec!["CMD-SHELL".to_owned(), line]);
    }
    let items = reading.list(node, "`test`");
    let words: Vec<_> =
        items.iter().filter_map(|item| filled(reading, item, "a word of `test`")).collect();
    let fits = match words.first().map(String::as_str) {
        Some("CMD") => words.len() > 1,
        Some("CMD-SHELL") => words.len() == 2,
        Some(_) | None => false,
    };
    if !fits {
        let remedy =
            "write [CMD, program, …] or [CMD-SHELL, line]; leave `healthcheck` out for none";
        reading.unsupported(node.span, "`test` says not what is run", remedy);
        return None;
    }
    Some(words)
}

/// `1m30s`: hours, minutes, seconds, milliseconds.
fn duration(reading: &mut Reading, node: &Node) -> Option<u64> {
    let text = reading.scalar(node, "a time of `healthcheck`")?;
    let read = milliseconds(&text).filter(|it| *it <= 24 * 3_600_000);
    if read.is_none() {
        let what = format!("{text} is no time");
        reading.malformed(node.span, what, "write such as 500ms, 30s or 1m30s; a day at most");
    }
    read
}

fn milliseconds(text: &str) -> Option<u64> {
    let (mut rest, mut sum) = (text, 0u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let (unit, after) = ["ms", "h", "m", "s"]
            .iter()
            .find_map(|unit| Some((*unit, rest.strip_prefix(unit)?)))?;
        let unit = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            _ => 1,
        };
        sum = sum.checked_add(number.checked_mul(unit)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests;
