//! The image of a container, or a virtual machine, as contents of a bundle.

use std::path::{Path, PathBuf};

use carnet_bundle::{BundleItem, ImageLimits, read_image};
use carnet_connect::{MachinePlace, Machines};
use carnet_model::Code;
use carnet_model::capability::MachinePrograms;
use carnet_model::plan::Machine;
use carnet_model::portability::ContentType;
use carnet_model::workload::{
    DEFINITION_BYTES_MAX, DefinitionForm, DiskFormat, Firmware, ImageReference, MACHINE_VERSION,
    MachineError, MachineFile, MachinePart, Workload, check_parts,
};

use super::super::Act;
use super::contents::media_type;
use super::read;
use crate::error::StepError;
use crate::step::files;

/// The description of a machine in a bundle.
const MACHINE: &str = "machine/machine.json";

/// Refuses a definition that is none, and a workload that keeps state which no bundle moves.
pub(super) fn definition(file: &Path, path: &str) -> Result<(), StepError> {
    let size = file.metadata().map_err(|error| StepError::io("read", file, error))?.len();
    let text = if size > DEFINITION_BYTES_MAX as u64 { Vec::new() } else { read(file)? };
    let form = DefinitionForm::ALL.into_iter().find(|form| form.path() == path);
    let malformed = |what: String| {
        StepError::new(Code::WORKLOAD_MALFORMED, format!("{}: {what}", file.display()))
            .remedy("write the subset that docs/portability.md names")
    };
    let (Some(form), Ok(text)) = (form, String::from_utf8(text)) else {
        return Err(malformed("it is no definition of a workload".to_owned()));
    };
    let workload = Workload::read(form, &text).map_err(|found| {
        let told = found.iter().map(|it| format!("line {}: {}", it.span.line, it.message));
        malformed(told.collect::<Vec<_>>().join("; "))
    })?;
    let Some(first) = workload.stateful_parts().first() else { return Ok(()) };
    let what = format!(
        "{}, line {}: the {} {} stays where it is, and the workload needs it",
        file.display(),
        first.line,
        first.kind,
        first.name
    );
    Err(StepError::new(Code::WORKLOAD_STATEFUL, what).remedy(
        "take it out of the definition, and move what is in it as data: files, or a snapshot, with \
         `scenario: data_only`",
    ))
}

/// The files of an image, each blob compared with its digest.
pub(super) fn image(
    act: &Act<'_>,
    named: &str,
    scratch: &Path,
) -> Result<Vec<BundleItem>, StepError> {
    let reference: ImageReference = named.parse().map_err(|error| {
        StepError::new(Code::WORKLOAD_UNPINNED, format!("{error}"))
            .remedy("name the image by its digest, or a layout of OCI")
    })?;
    let scratch = scratch.join("image");
    files::remove_folder(&scratch)?;
    files::make_folder(&scratch)?;
    let reference = reference.within(act.cx.folder);
    let read = read_image(&reference, &scratch, ImageLimits::default())?;
    let item = |file: carnet_bundle::ImageFile| {
        BundleItem::file(ContentType::ContainerImage, file.path, file.media_type, file.file)
    };
    Ok(read.files.into_iter().map(|file| item(file).sensitive()).collect())
}

/// A machine that is off: its disk without anything behind it, its firmware variables, the state of
/// its TPM.
pub(super) fn machine(
    act: &Act<'_>,
    machine: &Machine,
    name: &str,
    scratch: &Path,
) -> Result<Vec<BundleItem>, StepError> {
    let programs = MachinePrograms::default();
    let machines = act.cx.outside.machines(&MachinePlace {
        emulator: programs.emulator,
        tpm: programs.tpm,
        images: programs.images,
        firmware_code: PathBuf::from(programs.firmware_code),
    })?;
    let (disk, format, virtual_size) = disk(act, machines.as_ref(), &machine.disk, scratch)?;
    let below = |path: &Option<String>| path.as_ref().map(|path| act.cx.folder.join(path));
    let (variables, tpm) = (below(&machine.firmware_vars), below(&machine.tpm_state));
    let described = MachineFile {
        version: MACHINE_VERSION.to_owned(),
        name: name.to_owned(),
        architecture: "x86_64".to_owned(),
        processors: machine.processors,
        memory_mib: machine.memory_mib,
        firmware: if variables.is_some() { Firmware::Uefi } else { Firmware::Bios },
        tpm: machine.tpm,
        disk_format: format,
        disk_virtual_size: virtual_size,
    };
    described.check().map_err(|error| refused(&error))?;
    let tpm_there = tpm.as_ref().is_some_and(|folder| folder.is_dir());
    check_parts(&described, variables.is_some(), tpm_there).map_err(|error| refused(&error))?;
    let bytes = serde_json::to_vec(&described)
        .map_err(|error| StepError::new(Code::BUG, format!("cannot write {MACHINE}: {error}")))?;
    let json = || "application/json".to_owned();
    let mut items = vec![
        BundleItem::file(
            ContentType::DiskImage,
            format.path(),
            media_type(ContentType::DiskImage, format.path()),
            disk,
        )
        .sensitive(),
        BundleItem::bytes(ContentType::WorkloadDefinition, MACHINE, json(), bytes),
    ];
    let mut add = |kind, path: &str, file: PathBuf| {
        items.push(BundleItem::file(kind, path, media_type(kind, path), file).sensitive());
    };
    if let Some(variables) = variables {
        let path = MachinePart::FirmwareVariables.path();
        add(ContentType::FirmwareVariables, path, variables);
    }
    for (kind, under, folder) in [
        (ContentType::VtpmState, MachinePart::TpmState.path(), tpm),
        (ContentType::Attestation, "machine/attestation", below(&machine.attestation)),
    ] {
        let Some(folder) = folder else { continue };
        let found = BundleItem::folder(kind, under, &folder, |path| media_type(kind, path))?;
        items.extend(found.into_iter().map(BundleItem::sensitive));
    }
    Ok(items)
}

/// The disk in one file: what has another file behind it is written anew.
fn disk(
    act: &Act<'_>,
    machines: &dyn Machines,
    named: &str,
    scratch: &Path,
) -> Result<(PathBuf, DiskFormat, u64), StepError> {
    let file = act.cx.folder.join(named);
    let facts = machines.disk(&file)?;
    if machines.in_use(&file, facts.format)? {
        let what = format!("the machine with the disk {} runs", file.display());
        return Err(StepError::new(Code::VM_RUNNING, what)
            .remedy("turn it off first; see what `source.stop` of the plan does"));
    }
    if facts.chain.is_empty() {
        return Ok((file, facts.format, facts.virtual_size));
    }
    files::make_folder(scratch)?;
    let whole = scratch.join("disk.qcow2");
    // Once is enough: the disk is off, and its digest is recorded with the intent.
    if !whole.is_file() {
        let partial = scratch.join("disk.partial");
        files::remove(&partial)?;
        machines.flatten(&file, &partial, DiskFormat::Qcow2)?;
        files::rename(&partial, &whole)?;
    }
    Ok((whole, DiskFormat::Qcow2, facts.virtual_size))
}

fn refused(error: &MachineError) -> StepError {
    let (code, remedy) = match error {
        MachineError::TpmMissing(_) => (
            Code::VM_TPM_MISSING,
            "turn the machine off, and name the folder with the state of its TPM (`tpm_state`)",
        ),
        MachineError::Form(_)
        | MachineError::Version(_)
        | MachineError::VariablesMissing(_)
        | MachineError::Surplus { .. } => (Code::VM_MALFORMED, "correct the machine in the plan"),
    };
    StepError::new(code, error.to_string()).remedy(remedy)
}
