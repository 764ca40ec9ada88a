//! An image is read whole or not at all.

use super::*;

struct Made {
    folder: tempfile::TempDir,
    layer: Digest,
}

fn put(blobs: &Path, bytes: &[u8]) -> (String, usize) {
    let digest = Digest::of(bytes);
    std::fs::write(blobs.join(digest.to_string()), bytes).unwrap();
    (format!("sha256:{digest}"), bytes.len())
}

/// A layout with one image of one layer, tagged `v1`.
fn made() -> Made {
    let folder = tempfile::tempdir().unwrap();
    let blobs = folder.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let layer = b"a layer".as_slice();
    let (layer_digest, layer_size) = put(&blobs, layer);
    let config = json!({"rootfs": {"diff_ids": [layer_digest]}}).to_string();
    let (config, config_size) = put(&blobs, config.as_bytes());
    let manifest = json!({
        "config": {"mediaType": CONFIG, "digest": config, "size": config_size},
        "layers": [{"mediaType": LAYER, "digest": layer_digest, "size": layer_size}],
    });
    let (digest, size) = put(&blobs, manifest.to_string().as_bytes());
    put(&blobs, b"of another image");
    let index = json!({"manifests": [{"mediaType": MANIFEST, "digest": digest, "size": size,
        "annotations": {REF_NAME: "v1"}}]});
    std::fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    Made { folder, layer: Digest::of(layer) }
}

fn read(made: &Made, tag: Option<&str>, bytes: u64) -> Result<ContainerImage, BundleError> {
    let scratch = tempfile::tempdir().unwrap();
    let folder = made.folder.path().to_owned();
    let reference = ImageReference::Layout { folder, tag: tag.map(str::to_owned) };
    read_image(&reference, scratch.path(), ImageLimits { bytes })
}

#[test]
fn an_image_is_taken_with_what_it_names_and_nothing_else() {
    let made = made();
    let image = read(&made, Some("v1"), 1 << 20).unwrap();
    let paths: Vec<_> = image.files.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths.len(), 5, "{paths:?}");
    assert!(paths.is_sorted() && paths.contains(&"image/index.json"), "{paths:?}");
    assert!(paths.contains(&format!("image/blobs/sha256/{}", made.layer).as_str()));
    assert!(!paths.iter().any(|it| it.ends_with(&Digest::of(b"of another image").to_string())));
    // The same image in a layout that calls it otherwise gives the same files.
    let index = made.folder.path().join("index.json");
    let text = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, text.replace("\"v1\"", "\"v2\"")).unwrap();
    let digests = |image: &ContainerImage| -> Vec<Digest> {
        image.files.iter().map(|it| it.digest).collect()
    };
    assert_eq!(digests(&image), digests(&read(&made, None, 1 << 20).unwrap()));
    assert_eq!(verify_image(made.folder.path(), ImageLimits::default()).unwrap(), image.manifest);
}

#[test]
fn what_is_damaged_missing_or_too_large_is_refused() {
    let code = |made: &Made, tag, bytes| read(made, tag, bytes).unwrap_err().code();
    let whole = made();
    assert_eq!(code(&whole, Some("v9"), 1 << 20), Code::WORKLOAD_IMAGE);
    assert_eq!(code(&whole, None, 10), Code::WORKLOAD_IMAGE);
    let layer = whole.folder.path().join("blobs/sha256").join(whole.layer.to_string());
    std::fs::write(&layer, b"b layer").unwrap();
    assert_eq!(code(&whole, None, 1 << 20), Code::WORKLOAD_IMAGE);
    std::fs::write(&layer, b"a layer that is longer").unwrap();
    assert_eq!(code(&whole, None, 1 << 20), Code::WORKLOAD_IMAGE);
    std::fs::remove_file(&layer).unwrap();
    assert_eq!(code(&whole, None, 1 << 20), Code::STORE_NOT_FOUND);
    std::os::unix::fs::symlink("/etc/hostname", &layer).unwrap();
    assert_eq!(code(&whole, None, 1 << 20), Code::WORKLOAD_IMAGE);
    let other = made();
    std::fs::write(other.folder.path().join("oci-layout"), "{}").unwrap();
    assert_eq!(code(&other, None, 1 << 20), Code::WORKLOAD_IMAGE);
}

/// A docker archive with these links to its first file, and these files.
fn saved(links: &[&str], files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
    let archive = tempfile::NamedTempFile::new().unwrap();
    let mut writer = tar::Builder::new(archive.as_file());
    for name in links {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        writer.append_link(&mut header, name, files[0].0).unwrap();
    }
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        writer.append_data(&mut header, name, *bytes).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    archive
}

#[test]
fn a_docker_archive_gives_the_layers_that_its_config_names() {
    let layer = b"a layer".as_slice();
    let config = json!({"rootfs": {"diff_ids": [format!("sha256:{}", Digest::of(layer))]}});
    let config = config.to_string();
    let manifest =
        br#"[{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l.tar"]}]"#.as_slice();
    let with = |links: &[&str], files: &[(&str, &[u8])], bytes| {
        let (archive, scratch) = (saved(links, files), tempfile::tempdir().unwrap());
        let reference = ImageReference::DockerArchive { file: archive.path().to_owned() };
        let read = read_image(&reference, scratch.path(), ImageLimits { bytes });
        read.map(|image| image.files.len()).map_err(|error| error.code())
    };
    let of = |files: &[(&str, &[u8])], bytes| with(&[], files, bytes);
    let config = config.as_bytes();
    let whole = [("manifest.json", manifest), ("c.json", config), ("l.tar", layer)];
    assert_eq!(of(&whole, 1 << 20), Ok(5));
    assert_eq!(of(&whole, 20), Err(Code::WORKLOAD_IMAGE));
    assert_eq!(of(&whole[..2], 1 << 20), Err(Code::WORKLOAD_IMAGE));
    assert_eq!(of(&whole[1..], 1 << 20), Err(Code::WORKLOAD_IMAGE));
    let swapped =
        [("manifest.json", manifest), ("c.json", config), ("l.tar", b"b layer".as_slice())];
    assert_eq!(of(&swapped, 1 << 20), Err(Code::WORKLOAD_IMAGE));
    assert_eq!(with(&["0a/layer.tar"], &whole, 1 << 20), Ok(5), "a second name of a layer");
    assert_eq!(with(&["l.tar"], &whole[..2], 1 << 20), Err(Code::WORKLOAD_IMAGE), "a link");
    let twice = [whole[0], whole[1], whole[2], whole[2]];
    assert_eq!(of(&twice, 1 << 20), Err(Code::WORKLOAD_IMAGE));
}
