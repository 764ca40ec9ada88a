//! Images whose layers `tar` and `gzip` have made.

use std::fs;
use std::path::Path;
use std::process::Command;

use carnet_ledger::Digest;
use serde_json::{Value, json};

use super::{Error, Fail, NoData, Pass, says};

const TAG: &str = "git-9fceb02d0ae5";

/// A layout in the making.
struct Layout {
    folder: tempfile::TempDir,
    layers: Vec<Value>,
}

impl Layout {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("image/blobs/sha256")).unwrap();
        Self { folder, layers: Vec::new() }
    }

    fn blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let path = self.folder.path().join("image/blobs/sha256").join(digest.to_string());
        fs::write(path, bytes).unwrap();
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    }

    /// A layer with these files, compressed or not.
    fn layer(mut self, gzip: bool, files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let flags = if gzip { "-cz" } else { "-c" };
        let output = Command::new("tar").args([flags, "-C"]).arg(root.path()).arg(".").output();
        let output = output.unwrap();
        assert!(output.status.success());
        let kind = if gzip { "layer.v1.tar+gzip" } else { "layer.v1.tar" };
        let layer = self.blob(kind, &output.stdout);
        self.layers.push(layer);
        self
    }

    fn raw(mut self, kind: &str, bytes: &[u8]) -> Self {
        let layer = self.blob(kind, bytes);
        self.layers.push(layer);
        self
    }

    /// Writes the layout with its image under these tags; gives what a plan says of it.
    fn done(&self, tags: &[&str], env: &str) -> Value {
        let config =
            self.blob("config.v1+json", json!({"config": {"Env": [env]}}).to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": self.layers});
        let top = self.blob("manifest.v1+json", manifest.to_string().as_bytes());
        let tagged = |tag: &&str| {
            let mut top = top.clone();
            top["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
            top
        };
        let manifests: Vec<Value> = tags.iter().map(tagged).collect();
        let image = self.folder.path().join("image");
        let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        fs::write(image.join("index.json"), index).unwrap();
        fs::write(image.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        json!({"layout": "image", "tag": TAG, "digest": top["digest"], "entrypoints": ["app/run.py"]})
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn app(gzip: bool, more: &[(&str, &str)]) -> Layout {
    Layout::new()
        .layer(gzip, &[("etc/os-release", "ID=none\n"), ("app/run.py", "print('old')\n")])
        .layer(gzip, &[&[("app/run.py", "print('hello')\n")], more].concat())
}

fn key() -> String {
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n", "b3BlbnNzaC1rZXk".repeat(20))
}

#[test]
fn an_image_is_the_one_that_was_named() {
    for gzip in [false, true] {
        let layout = app(gzip, &[]);
        let with = layout.done(&[TAG], "PATH=/bin");
        let is = |with: &Value, verdict, reason: &str| {
            says(layout.path(), "image", with, verdict, reason);
        };
        is(&with, Pass, "is as demanded: 3 files in 2 layers, no secret; control: a layer with");
        let said = |key: &str, value: Value| {
            let mut with = with.clone();
            with[key] = value;
            with
        };
        let other = format!("sha256:{}", "0".repeat(64));
        is(&said("digest", json!(other)), Fail, "not sha256:0000");
        is(&said("tag", json!("git-0000000")), Fail, "has no image tagged git-0000000");
        is(&said("layout", json!("none")), NoData, "there is no image at none");
        is(&said("entrypoints", json!(["/app/run.py"])), Pass, "");
        is(&said("entrypoints", json!(["app/main.py"])), Fail, "app/main.py is missing");
        is(&said("entrypoints", json!(["app"])), Fail, "app is no plain file");
        is(
            &said("layer_bytes_max", json!(4_000)),
            Error,
            if gzip { "more bytes or files" } else { "more than 4000 bytes" },
        );
        is(&said("layer_files_max", json!(5)), Error, "more bytes or files");
        layout.done(&[TAG, TAG], "PATH=/bin");
        is(&with, Fail, "several images tagged");
        layout.done(&["latest"], "PATH=/bin");
        is(&with, Fail, "has no image tagged");
    }
}

#[test]
fn layers_lie_on_each_other() {
    let with = |layer: &[(&str, &str)], verdict, reason: &str| {
        let layout = app(true, &[]).layer(true, layer);
        let with = layout.done(&[TAG], "PATH=/bin");
        says(layout.path(), "image", &with, verdict, reason);
    };
    with(&[("app/.wh.run.py", "")], Fail, "app/run.py is missing");
    with(&[(".wh.app", "")], Fail, "app/run.py is missing");
    with(&[("app/.wh..wh..opq", "")], Fail, "app/run.py is missing");
    with(&[("app", "a file in the place of the folder")], Fail, "app/run.py is missing");
    with(&[("app/run.py", "")], Fail, "app/run.py is an empty file");
    with(&[("app/.wh.run.py", ""), ("app/run.py", "new")], Pass, "no secret");
    with(&[("app/.wh.run", ""), ("ap/.wh..wh..opq", "")], Pass, "no secret");
}

#[test]
fn a_secret_is_found_in_any_layer() {
    for gzip in [false, true] {
        let secret = |files: &[(&str, &str)], sign: &str| {
            // The last layer hides it again: it is in the image all the same.
            let (folder, name) = files[0].0.rsplit_once('/').unwrap();
            let hides = format!("{folder}/.wh.{name}");
            let layout = app(gzip, files).layer(gzip, &[(&hides, "")]);
            let mut with = layout.done(&[TAG], "PATH=/bin");
            says(layout.path(), "image", &with, Fail, &format!("looks like a secret ({sign}"));
            with["no_secret"] = json!([files[0].0]);
            says(layout.path(), "image", &with, Pass, "no secret");
        };
        secret(&[("root/.ssh/id_rsa", "x")], "ssh_key_file");
        secret(&[("app/.env", "TOKEN=x")], "env_file");
        let large = format!("{}\n{}", "filler ".repeat(100_000), key());
        secret(&[("app/settings.py", &large)], "private_key");
        let id = format!("key = 'AKIA{}'", "Z2".repeat(8));
        secret(&[("app/settings.py", &id)], "aws_key_id");
    }
    let layout = app(true, &[]);
    let with = layout.done(&[TAG], &format!("AWS_SECRET_ACCESS_KEY={}", "k9".repeat(20)));
    says(layout.path(), "image", &with, Fail, "config in git-9fceb02d0ae5 looks like a secret");
    let mut behind = vec![0; 10_240];
    behind.extend_from_slice(key().as_bytes());
    let layout = app(true, &[]).raw("layer.v1.tar", &behind);
    let with = layout.done(&[TAG], "PATH=/bin");
    says(layout.path(), "image", &with, Fail, "(behind the archive)");
}

#[test]
fn an_image_that_cannot_be_read_is_no_pass() {
    let layout = app(true, &[]).raw("layer.v1.tar+lzma", b"?");
    let with = layout.done(&[TAG], "PATH=/bin");
    says(layout.path(), "image", &with, Error, "a layer of the type");
    let layout = app(true, &[]).raw("layer.v1.tar+gzip", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    let with = layout.done(&[TAG], "PATH=/bin");
    says(layout.path(), "image", &with, Error, "a layer cannot be read");
    let layout = Layout::new().raw("layer.v1.tar", &[0; 1024]);
    let with = layout.done(&[TAG], "PATH=/bin");
    says(layout.path(), "image", &with, NoData, "holds no file");
    let layout = app(false, &[]);
    let with = layout.done(&[TAG], "PATH=/bin");
    let named = layout.layers[0]["digest"].as_str().unwrap().replace("sha256:", "");
    let blob = layout.path().join("image/blobs/sha256").join(named);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[600] ^= 1;
    fs::write(&blob, bytes).unwrap();
    says(layout.path(), "image", &with, Error, "has another digest");
}
