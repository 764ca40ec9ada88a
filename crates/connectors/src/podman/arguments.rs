//! What podman is told of a container that is to be made.

use carnet_connect::{NewContainer, StoreError};
use carnet_model::Code;
use carnet_model::workload::{Healthcheck, Mount, Port};

/// The words of `podman create`.
pub(super) fn create(container: &NewContainer) -> Result<Vec<String>, StoreError> {
    let mut args: Vec<String> = ["create", "--name", &container.name].map(str::to_owned).into();
    args.extend(["--pull=never", "--http-proxy=false"].map(str::to_owned));
    for (name, value) in &container.labels {
        args.push(format!("--label={name}={value}"));
    }
    for (name, value) in &container.environment {
        args.push(format!("--env={name}={value}"));
    }
    for one in &container.ports {
        args.push(format!("--publish={}", port(one)));
    }
    for one in &container.mounts {
        args.push(format!("--mount={}", mount(one)?));
    }
    if let Some(health) = &container.healthcheck {
        args.extend(healthcheck(health));
    }
    args.push(container.image.clone());
    args.extend(container.command.iter().cloned());
    Ok(args)
}

fn port(port: &Port) -> String {
    let address = match &port.address {
        Some(address) if address.contains(':') => format!("[{address}]:"),
        Some(address) => format!("{address}:"),
        None => String::new(),
    };
    format!("{address}{}:{}/{}", port.outside, port.inside, port.protocol.name())
}

fn mount(mount: &Mount) -> Result<String, StoreError> {
    for path in [&mount.from, &mount.to] {
        // The words of a mount are told apart by commas, and nothing takes away their meaning.
        if path.contains([',', '"', '\n']) {
            let what = format!("the mounted path {path} has a comma or a quote in it");
            return Err(StoreError::new(Code::WORKLOAD_UNSUPPORTED, what).remedy("rename it"));
        }
    }
    Ok(format!("type=bind,source={},destination={},ro=true", mount.from, mount.to))
}

/// A list is for what is run without a shell: podman itself adds `CMD` to it, and takes a list of one
/// for a line.
fn healthcheck(health: &Healthcheck) -> Vec<String> {
    let command = match health.test.split_first() {
        Some((first, words)) if first == "CMD" && words.len() > 1 => {
            serde_json::Value::from(words).to_string()
        }
        Some((_, words)) => format!("CMD-SHELL {}", words.join(" ")),
        None => String::new(),
    };
    vec![
        format!("--health-cmd={command}"),
        format!("--health-interval={}ms", health.interval_ms),
        format!("--health-timeout={}ms", health.timeout_ms),
        format!("--health-retries={}", health.retries),
        format!("--health-start-period={}ms", health.start_period_ms),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use carnet_model::workload::Protocol;

    use super::*;

    fn container() -> NewContainer {
        NewContainer {
            name: "web".to_owned(),
            image: "abc".to_owned(),
            command: vec!["httpd".to_owned(), "--port=1 2".to_owned()],
            environment: BTreeMap::from([("A".to_owned(), "b c".to_owned())]),
            ports: vec![Port {
                address: Some("::1".to_owned()),
                outside: 1,
                inside: 2,
                protocol: Protocol::Udp,
            }],
            mounts: vec![Mount { from: "/x/config/a".to_owned(), to: "/a".to_owned() }],
            healthcheck: Some(Healthcheck {
                test: ["CMD", "wget", "-q"].map(str::to_owned).into(),
                interval_ms: 30_000,
                timeout_ms: 500,
                retries: 2,
                start_period_ms: 0,
            }),
            labels: BTreeMap::from([("carnet-placed".to_owned(), "k".to_owned())]),
        }
    }

    #[test]
    fn every_part_is_one_word_and_the_command_comes_after_the_image() {
        let args = create(&container()).unwrap();
        for word in [
            "--label=carnet-placed=k",
            "--env=A=b c",
            "--publish=[::1]:1:2/udp",
            "--mount=type=bind,source=/x/config/a,destination=/a,ro=true",
            "--health-cmd=[\"wget\",\"-q\"]",
            "--health-timeout=500ms",
        ] {
            assert!(args.iter().any(|it| it == word), "{word} is not in {args:?}");
        }
        assert_eq!(args[args.len() - 3..], ["abc", "httpd", "--port=1 2"]);
    }

    #[test]
    fn a_path_that_would_change_what_a_mount_means_is_refused() {
        for path in ["/a,ro=false", "/a\"b", "/a\nb"] {
            let mut container = container();
            container.mounts[0].from = path.to_owned();
            let error = create(&container).unwrap_err();
            assert_eq!(error.code(), Code::WORKLOAD_UNSUPPORTED, "{path}");
        }
    }
}
