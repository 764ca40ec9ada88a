//! `vm.place`, `vm.boot`, `vm.stop`, `vm.remove`.
//!
//! A machine lies in a folder of its own, which carries the mark of the step that made it; the
//! emulator carries the mark of the step that started it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use carnet_connect::{
    Boot as BootRequest, Forward, HttpRequest, MachinePlace, MachineState, Machines,
};
use carnet_ledger::{EventBody, Object, Value};
use carnet_model::Code;
use carnet_model::capability::{MachinePrograms, VmBoot, VmPlace, VmRemove, VmStop};
use carnet_model::workload::{MachineError, MachineFile, MachinePart, check_parts};
use serde::{Deserialize, Serialize};

use super::placed::{Placed, copy_seen, files_below, mark, object_of, program, seen, whole};
use super::{Act, Capability, Probed};
use crate::error::StepError;
use crate::run::recorder::Note;
use crate::step::{Done, files, flag_of, remove_made, text_of};

pub(super) struct Place;
pub(super) struct Boot;
pub(super) struct Stop;
pub(super) struct Remove;

/// How much of a console is looked at and kept.
const CONSOLE_BYTES_MAX: usize = 1 << 20;
/// How long an undo waits for a machine to turn itself off.
const UNDO_OFF: Duration = Duration::from_secs(10);
/// What a machine was started with last, in its folder: who stops it can start it again.
const BOOTED: &str = "booted.json";
const MACHINE: &str = "machine/machine.json";

fn machines(act: &Act<'_>, programs: &MachinePrograms) -> Result<Box<dyn Machines>, StepError> {
    Ok(act.cx.outside.machines(&MachinePlace {
        emulator: program(act, &programs.emulator),
        tpm: program(act, &programs.tpm),
        images: program(act, &programs.images),
        firmware_code: whole(act, &programs.firmware_code),
    })?)
}

fn refused(error: &MachineError) -> StepError {
    let (code, remedy) = match error {
        MachineError::Form(_) | MachineError::Version(_) => {
            (Code::VM_MALFORMED, "write machine.json anew, or use the build that wrote it")
        }
        MachineError::TpmMissing(_) => (
            Code::VM_TPM_MISSING,
            "turn the machine off and export it again with the state of its TPM (`machine/tpm/`)",
        ),
        MachineError::VariablesMissing(_) => (
            Code::VM_UNSUPPORTED,
            "export it again with the variables of its firmware (`machine/firmware-vars.fd`)",
        ),
        MachineError::Surplus { .. } => {
            (Code::VM_MALFORMED, "correct machine.json, or leave the part out")
        }
    };
    StepError::new(code, error.to_string()).remedy(remedy)
}

fn not_found(folder: &Path) -> StepError {
    let what = format!("there is no machine in {}", folder.display());
    StepError::new(Code::VM_NOT_FOUND, what).remedy("name a folder with `machine/machine.json`")
}

/// The machine in a folder, once all its parts are there.
fn machine(folder: &Path) -> Result<MachineFile, StepError> {
    let bytes = files::read(&folder.join(MACHINE))?.ok_or_else(|| not_found(folder))?;
    let machine = MachineFile::read(&bytes).map_err(|error| refused(&error))?;
    let variables = folder.join(MachinePart::FirmwareVariables.path()).is_file();
    let tpm = !files_below(folder, MachinePart::TpmState.path())?.is_empty();
    check_parts(&machine, variables, tpm).map_err(|error| refused(&error))?;
    if !folder.join(machine.disk_format.path()).is_file() {
        let what = format!("the machine {} has no {}", machine.name, machine.disk_format.path());
        return Err(StepError::new(Code::VM_NOT_FOUND, what).remedy("put its disk there"));
    }
    Ok(machine)
}

/// The disk is what the machine says, and stands alone.
fn check_disk(
    machines: &dyn Machines,
    folder: &Path,
    machine: &MachineFile,
) -> Result<(), StepError> {
    let file = folder.join(machine.disk_format.path());
    let disk = machines.disk(&file)?;
    if let Some(behind) = disk.chain.first() {
        let what = format!("{} needs {} behind it", file.display(), behind.display());
        return Err(StepError::new(Code::VM_UNSUPPORTED, what)
            .remedy("write both into one file: `qemu-img convert`"));
    }
    if disk.format != machine.disk_format || disk.virtual_size != machine.disk_virtual_size {
        let what = format!(
            "{} is {} of {} bytes, and the machine says {} of {}",
            file.display(),
            disk.format,
            disk.virtual_size,
            machine.disk_format,
            machine.disk_virtual_size
        );
        return Err(StepError::new(Code::VM_MALFORMED, what).remedy("export the machine again"));
    }
    Ok(())
}

/// The parts of a machine that travel.
fn parts(folder: &Path, machine: &MachineFile) -> Result<Vec<String>, StepError> {
    let mut paths = vec![MACHINE.to_owned(), machine.disk_format.path().to_owned()];
    if folder.join(MachinePart::FirmwareVariables.path()).is_file() {
        paths.push(MachinePart::FirmwareVariables.path().to_owned());
    }
    paths.extend(files_below(folder, MachinePart::TpmState.path())?);
    Ok(paths)
}

impl Place {
    fn placed(act: &Act<'_>, asked: &VmPlace) -> Placed {
        Placed::new(act, &asked.into, Code::VM_EXISTS)
    }
}

impl Capability for Place {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let asked: VmPlace = act.inputs()?;
        let from = whole(act, &asked.from);
        let machine = machine(&from)?;
        let machines = machines(act, &asked.programs)?;
        // What runs changes while it is copied.
        if machines.state(&from)? != MachineState::Off {
            return Err(runs(&from));
        }
        check_disk(machines.as_ref(), &from, &machine)?;
        let paths = parts(&from, &machine)?;
        let inputs = Object::from([
            ("emulator".to_owned(), machines.version()?.into()),
            ("machine".to_owned(), machine.name.into()),
            ("files".to_owned(), Value::Object(seen(&from, &paths)?)),
        ]);
        Self::placed(act, &asked).is_free(inputs)
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let asked: VmPlace = act.inputs()?;
        let (from, placed) = (whole(act, &asked.from), Self::placed(act, &asked));
        placed.claim()?;
        // The state of a TPM is a secret.
        files::set_mode(&placed.path, 0o700)?;
        act.pass("vm/claimed")?;
        let bytes = copy_seen(&from, &placed.path, object_of(inputs, "files")?)?;
        act.pass("vm/placed")?;
        let machine = machine(&placed.path)?;
        check_disk(machines(act, &asked.programs)?.as_ref(), &placed.path, &machine)?;
        let admitted = Note::done(EventBody::WorkloadAdmit, "place").about(&machine.name);
        Ok(Done::default()
            .fact("machine", machine.name)
            .fact("folder", placed.path.display().to_string())
            .count("bytes", bytes)
            .note(admitted))
    }

    /// What was copied is compared again: it is done by acting again, which copies only what is not
    /// there.
    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let asked: VmPlace = act.inputs()?;
        let placed = Self::placed(act, &asked);
        if placed.is_ours()? {
            machines(act, &asked.programs)?.power_off(&placed.path, UNDO_OFF)?;
        }
        let left = placed.remove()?;
        remove_made(inputs);
        Ok(left)
    }
}

/// How a machine is started, and what it must show. Kept in its folder.
#[derive(Serialize, Deserialize)]
struct Booted {
    key: String,
    forward: Vec<(u16, u16)>,
    console: Vec<String>,
    answers_on: Option<u16>,
    within_s: u32,
}

impl Booted {
    fn new(asked: &VmBoot, key: String) -> Self {
        Self {
            key,
            forward: asked.forward.iter().map(|it| (it.outside, it.inside)).collect(),
            console: asked.console.clone(),
            answers_on: asked.answers_on,
            within_s: asked.within_s,
        }
    }

    fn kept(folder: &Path) -> Result<Option<Self>, StepError> {
        let Some(bytes) = files::read(&folder.join(BOOTED))? else { return Ok(None) };
        let kept = serde_json::from_slice(&bytes).map_err(|error| {
            StepError::new(Code::VM_MALFORMED, format!("{BOOTED} is not readable: {error}"))
                .remedy("start the machine with `vm.boot`")
        })?;
        Ok(Some(kept))
    }

    fn keep(&self, folder: &Path) -> Result<(), StepError> {
        let text = serde_json::to_string(self).unwrap_or_default();
        files::replace(&folder.join(BOOTED), text.as_bytes())
    }

    fn start(&self, machines: &dyn Machines, folder: &Path) -> Result<(), StepError> {
        let forward = self
            .forward
            .iter()
            .map(|(outside, inside)| Forward { outside: *outside, inside: *inside });
        let request = BootRequest {
            machine: machine(folder)?,
            key: self.key.clone(),
            forward: forward.collect(),
        };
        Ok(machines.boot(folder, &request)?)
    }

    /// Whether the machine shows all that it must show; what is missing if not.
    fn shown(&self, act: &Act<'_>, console: &[u8]) -> Result<(), String> {
        let console = String::from_utf8_lossy(console);
        if let Some(text) = self.console.iter().find(|text| !console.contains(text.as_str())) {
            return Err(format!("its console does not show {text:?}"));
        }
        let Some(port) = self.answers_on else { return Ok(()) };
        // A connection proves nothing: the emulator itself takes it.
        let request = HttpRequest {
            method: "GET".to_owned(),
            url: format!("http://127.0.0.1:{port}/"),
            headers: Vec::new(),
            body: Vec::new(),
            limit: Duration::from_secs(2),
            body_bytes_max: 1,
            roots: None,
        };
        match act.cx.outside.http(&request) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("port {port} does not answer: {error}")),
        }
    }

    /// Waits until the machine shows that it came up. Gives the seconds that it took and its
    /// console.
    fn wait(
        &self,
        act: &Act<'_>,
        machines: &dyn Machines,
        folder: &Path,
    ) -> Result<(u64, Vec<u8>), StepError> {
        let (began, limit) = (Instant::now(), Duration::from_secs(self.within_s.into()));
        let wants_tpm = machine(folder)?.tpm;
        loop {
            let state = machines.state(folder)?;
            let console = machines.console(folder, CONSOLE_BYTES_MAX)?;
            let shown = self.shown(act, &console);
            let MachineState::On { tpm, word, .. } = state else {
                let what = format!("the machine turned itself off: {}", last_line(&console));
                return Err(no_proof(what));
            };
            if wants_tpm && tpm.is_none() {
                let what = format!("the machine in {} runs without its TPM", folder.display());
                return Err(StepError::new(Code::VM_TPM_MISSING, what)
                    .remedy("turn it off, and see why its TPM does not run"));
            }
            match shown {
                Ok(()) => return Ok((began.elapsed().as_secs(), console)),
                Err(missing) if began.elapsed() >= limit => {
                    let last = last_line(&console);
                    let what = format!(
                        "after {} s the machine is {word}, and {missing}; its last line is: {last}",
                        self.within_s
                    );
                    return Err(no_proof(what));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }
}

fn no_proof(what: String) -> StepError {
    StepError::new(Code::VM_NO_PROOF, what)
        .remedy("see its console, correct what it must show, and run the plan again")
}

fn last_line(console: &[u8]) -> String {
    let text = String::from_utf8_lossy(console);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn folder(act: &Act<'_>, path: &str) -> PathBuf {
    whole(act, path)
}

fn runs(folder: &Path) -> StepError {
    let what = format!("the machine in {} runs already", folder.display());
    StepError::new(Code::VM_RUNNING, what).remedy("turn it off first, with `vm.stop`")
}

impl Capability for Boot {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let asked: VmBoot = act.inputs()?;
        let folder = folder(act, &asked.machine);
        let machine = machine(&folder)?;
        let machines = machines(act, &asked.programs)?;
        check_disk(machines.as_ref(), &folder, &machine)?;
        if machines.state(&folder)? != MachineState::Off {
            return Err(runs(&folder));
        }
        Ok(Object::from([
            ("emulator".to_owned(), machines.version()?.into()),
            ("machine".to_owned(), machine.name.into()),
            ("tpm".to_owned(), machine.tpm.into()),
        ]))
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let asked: VmBoot = act.inputs()?;
        let folder = folder(act, &asked.machine);
        let machines = machines(act, &asked.programs)?;
        let booted = Booted::new(&asked, mark(act));
        match machines.state(&folder)? {
            MachineState::Off => {
                booted.keep(&folder)?;
                booted.start(machines.as_ref(), &folder)?;
            }
            // An attempt that was cut off has started it.
            MachineState::On { key, .. } if key == booted.key => {}
            MachineState::On { .. } => return Err(runs(&folder)),
        }
        act.pass("vm/started")?;
        let (seconds, console) = booted.wait(act, machines.as_ref(), &folder)?;
        act.pass("vm/shown")?;
        Ok(Done::default()
            .fact("machine", machine(&folder)?.name)
            .count("seconds", seconds)
            .fact("console", act.cx.recorder.put(&console)?))
    }

    /// Whether it came up is seen by waiting for it again.
    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, act: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        let asked: VmBoot = act.inputs()?;
        let folder = folder(act, &asked.machine);
        let machines = machines(act, &asked.programs)?;
        match machines.state(&folder)? {
            MachineState::On { key, .. } if key == mark(act) => {
                machines.power_off(&folder, UNDO_OFF)?;
                Ok(Vec::new())
            }
            MachineState::On { .. } => Ok(vec![format!(
                "the machine in {} was started by somebody else",
                folder.display()
            )]),
            MachineState::Off => Ok(Vec::new()),
        }
    }
}

impl Capability for Stop {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let asked: VmStop = act.inputs()?;
        let folder = folder(act, &asked.machine);
        let machine = machine(&folder)?;
        let state = machines(act, &asked.programs)?.state(&folder)?;
        Ok(Object::from([
            ("machine".to_owned(), machine.name.into()),
            ("ran".to_owned(), (state != MachineState::Off).into()),
        ]))
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let asked: VmStop = act.inputs()?;
        let folder = folder(act, &asked.machine);
        let machines = machines(act, &asked.programs)?;
        let by_itself = machines.power_off(&folder, Duration::from_secs(asked.within_s.into()))?;
        act.pass("vm/stopped")?;
        if machines.state(&folder)? != MachineState::Off {
            let what = format!("the machine in {} still runs", folder.display());
            return Err(StepError::new(Code::VM_RUNNING, what).remedy("see what holds it"));
        }
        Ok(Done::default().fact("by_itself", by_itself))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    /// Starts what ran, as it was started before.
    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let asked: VmStop = act.inputs()?;
        let folder = folder(act, &asked.machine);
        if !flag_of(inputs, "ran") {
            return Ok(Vec::new());
        }
        let machines = machines(act, &asked.programs)?;
        let Some(booted) = Booted::kept(&folder)? else {
            return Ok(vec![format!("nobody knows how {} was started", folder.display())]);
        };
        if machines.state(&folder)? == MachineState::Off {
            booted.start(machines.as_ref(), &folder)?;
        }
        act.pass("vm/started_again")?;
        match booted.wait(act, machines.as_ref(), &folder) {
            Ok(_) => Ok(Vec::new()),
            Err(error) if error.code == Code::VM_NO_PROOF => Ok(vec![error.told()]),
            Err(error) => Err(error),
        }
    }
}

impl Capability for Remove {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let asked: VmRemove = act.inputs()?;
        let folder = folder(act, &asked.machine);
        // Nothing but a machine is removed; one with a part missing may be.
        let bytes = files::read(&folder.join(MACHINE))?.ok_or_else(|| not_found(&folder))?;
        let machine = MachineFile::read(&bytes).map_err(|error| refused(&error))?;
        if machines(act, &asked.programs)?.state(&folder)? != MachineState::Off {
            return Err(runs(&folder));
        }
        Ok(Object::from([("machine".to_owned(), machine.name.into())]))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let asked: VmRemove = act.inputs()?;
        let folder = folder(act, &asked.machine);
        let machines = machines(act, &asked.programs)?;
        if folder.exists() {
            if machines.state(&folder)? != MachineState::Off {
                return Err(runs(&folder));
            }
            // Off, it may have left sockets behind.
            machines.power_off(&folder, Duration::ZERO)?;
        }
        files::remove_folder(&folder)?;
        act.pass("vm/removed")?;
        let name = text_of(inputs, "machine").unwrap_or_default();
        let ended = Note::done(EventBody::WorkloadTerminate, "remove").about(&name);
        Ok(Done::default().fact("machine", name).note(ended))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}
