//! Commands, and numbers that are measured again and again.

use std::time::Duration;

use carnet_connect::HttpRequest;
use carnet_model::Secret;
use carnet_model::gate::command::{Ended, Ran};
use carnet_model::gate::{CONTENT_BYTES_MAX, Content, Facts, Scalar, command, lag};

use super::ask::headers;
use super::rows::{one_value, statement};
use super::{Looked, Surroundings, millis, seconds};
use crate::capability::program::{End, Program};
use crate::capability::secrets::{Variables, masked};
use crate::error::StepError;

/// What a command gets of the environment without being named.
const ALWAYS: [&str; 3] = ["HOME", "LANG", "PATH"];

/// How many bytes of what is written to stderr are kept: the end of it.
const STDERR_BYTES: usize = 2_000;

/// Runs a command.
pub(super) fn command(
    around: &Surroundings<'_>,
    rule: &command::Rule,
) -> Result<Looked, StepError> {
    let shell = ["-c".to_owned(), rule.program.clone(), "sh".to_owned()];
    let (program, args) = if rule.shell {
        ("/bin/sh", [shell.as_slice(), &rule.args].concat())
    } else {
        (rule.program.as_str(), rule.args.clone())
    };
    let folder = around.path(rule.folder.as_deref().unwrap_or(""));
    let Variables { given, hidden } = Variables::of(around.outside, &rule.env)?;
    let variables = [always(around), given].concat();
    let output_max = usize::try_from(rule.output_bytes_max).unwrap_or(CONTENT_BYTES_MAX);
    let (folder, limit) = (folder.as_path(), seconds(rule.limit_s));
    let started = std::time::Instant::now();
    let program =
        Program { name: program, args: &args, folder, env: &variables, limit, output_max };
    let ran = program.run(|| Ok(()))?;
    let ended = match ran.end {
        End::Exit(status) => Ended::Exited(status),
        End::Signal(signal) => Ended::Signal(signal),
        End::TimedOut => Ended::TimeLimit,
    };
    let content = Content::of(&masked(&ran.stdout.bytes, &hidden));
    let keeps_text = rule.stdout.is_some();
    let stderr = masked(&ran.stderr.bytes, &hidden);
    let end = stderr.len().saturating_sub(STDERR_BYTES);
    let stderr = String::from_utf8_lossy(stderr.get(end..).unwrap_or_default()).into_owned();
    let ran = Ran {
        ended,
        took_ms: millis(started.elapsed()),
        stdout: if keeps_text { content } else { content.without_text() },
        cut: ran.stdout.cut,
        stderr,
    };
    Ok(Looked::new(Facts::Command(command::Facts { run: Some(ran) })))
}

/// The variables that a command gets without being named. One that is not set is left out.
fn always(around: &Surroundings<'_>) -> Vec<(String, Secret)> {
    let found = ALWAYS
        .into_iter()
        .filter_map(|name| around.outside.secret(name).map(|value| (name.to_owned(), value)));
    found.collect()
}

/// Measures a number as often as the rule says.
pub(super) fn lag(around: &Surroundings<'_>, rule: &lag::Rule) -> Result<Looked, StepError> {
    let mut samples = Vec::new();
    for number in 0..rule.samples {
        if number > 0 {
            std::thread::sleep(Duration::from_millis(rule.every_ms));
        }
        let value = measure(around, rule)?.and_then(|value| value.number());
        samples.push(lag::Sample { value });
    }
    Ok(Looked::new(Facts::Lag(lag::Facts { samples })))
}

/// One measurement; `None` if there was no number.
fn measure(around: &Surroundings<'_>, rule: &lag::Rule) -> Result<Option<Scalar>, StepError> {
    let limit = seconds(rule.limit_s);
    if let Some(sql) = &rule.sql {
        let mut session = around.outside.sql(&around.database(&sql.database))?;
        return one_value(session.as_mut(), &statement(&sql.query, &sql.parameters), limit);
    }
    if let Some(http) = &rule.http {
        let answer = around.outside.http(&HttpRequest {
            method: "GET".to_owned(),
            url: http.url.clone(),
            headers: headers(around, &http.headers)?,
            body: Vec::new(),
            limit,
            body_bytes_max: CONTENT_BYTES_MAX,
            roots: http.roots.as_ref().map(|path| around.path(path)),
        })?;
        if answer.status != 200 || answer.cut {
            return Ok(None);
        }
        let document: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        let value = document.as_ref().and_then(|document| document.pointer(&http.pointer));
        return Ok(value.and_then(Scalar::of_json));
    }
    let Some(command) = &rule.command else { return Ok(None) };
    let variables = always(around);
    let (name, args) = (command.program.as_str(), command.args.as_slice());
    let (folder, env) = (around.folder, variables.as_slice());
    let program = Program { name, args, folder, env, limit, output_max: 64 };
    let ran = program.run(|| Ok(()))?;
    if ran.end != End::Exit(0) || ran.stdout.cut {
        return Ok(None);
    }
    Ok(Some(Scalar::Text(String::from_utf8_lossy(&ran.stdout.bytes).trim().to_owned())))
}
