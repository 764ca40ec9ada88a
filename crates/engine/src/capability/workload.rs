//! `workload.place`, `workload.start`, `workload.stop`, `workload.remove`.
//!
//! A container carries a mark of the step that made it, so that a repetition finds its own and an
//! undo takes away nothing of others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use carnet_bundle::{IMAGE_FOLDER, ImageLimits, verify_image};
use carnet_connect::{ContainerPlace, ContainerRuntime, HeldImage, NewContainer, Unit, UnitState};
use carnet_ledger::{EventBody, Object, Value};
use carnet_model::Code;
use carnet_model::capability::{
    RuntimePlace, WorkloadPlace, WorkloadRemove, WorkloadStart, WorkloadStop,
};
use carnet_model::workload::{
    CONFIG_FOLDER, DEFINITION_BYTES_MAX, DefinitionForm, KubeWorkload, Mount, Service, Workload,
};

use super::placed::{Placed, copy_seen, files_below, mark, object_of, program, seen, whole};
use super::{Act, Capability, Probed};
use crate::error::StepError;
use crate::run::recorder::Note;
use crate::step::{Done, files, flag_of, remove_made, text_of};

pub(super) struct Place;
pub(super) struct Start;
pub(super) struct Stop;
pub(super) struct Remove;

/// The label with the mark of the step that made it.
const LABEL: &str = "carnet-placed";
/// How long a workload without a health check must run to count as well.
const RUNS: Duration = Duration::from_secs(1);
/// How long an undo waits for a workload to end before it ends it by force.
const UNDO_STOP: Duration = Duration::from_secs(10);

type Runtime = Box<dyn ContainerRuntime>;

fn runtime(act: &Act<'_>, place: &RuntimePlace) -> Result<Runtime, StepError> {
    let within = |path: &String| whole(act, path);
    Ok(act.cx.outside.containers(&ContainerPlace {
        program: program(act, &place.program),
        storage: place.storage.as_ref().map(within),
        settings: place.settings.as_ref().map(within),
    })?)
}

fn unit_of(name: &str, pod: bool) -> Unit {
    if pod { Unit::Pod(name.to_owned()) } else { Unit::Container(name.to_owned()) }
}

/// The definition among the files of a bundle.
struct Definition {
    form: DefinitionForm,
    workload: Workload,
}

fn definition(folder: &Path) -> Result<Definition, StepError> {
    let mut found = None;
    for form in DefinitionForm::ALL {
        let file = folder.join(form.path());
        if std::fs::metadata(&file).is_ok_and(|it| it.len() > DEFINITION_BYTES_MAX as u64) {
            let what = format!("{} is too large", file.display());
            return Err(StepError::new(Code::WORKLOAD_MALFORMED, what).remedy("keep data out"));
        }
        let Some(bytes) = files::read(&file)? else { continue };
        if found.is_some() {
            let what = "there is a compose file, and there are manifests of Kubernetes";
            return Err(StepError::new(Code::WORKLOAD_MALFORMED, what).remedy("keep one of both"));
        }
        found = Some((form, bytes));
    }
    let Some((form, bytes)) = found else {
        let what = format!("{} holds no definition of a workload", folder.display());
        let remedy = "there must be workload/compose.yaml or workload/kube.yaml";
        return Err(StepError::new(Code::WORKLOAD_NOT_FOUND, what).remedy(remedy));
    };
    let text = String::from_utf8(bytes).map_err(|_| {
        StepError::new(Code::WORKLOAD_MALFORMED, format!("{} is not UTF-8", form.path()))
    })?;
    let workload = Workload::read(form, &text).map_err(|findings| {
        let Some(first) = findings.first() else {
            return StepError::new(Code::BUG, "a definition was refused without a reason");
        };
        let more = findings.len() - 1;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let what = format!("{}:{}: {}{more}", form.path(), first.span.line, first.message);
        StepError::new(first.code, what).remedy(first.remedy.clone())
    })?;
    Ok(Definition { form, workload })
}

/// Refuses what keeps state that no bundle moves.
fn stateless(definition: &Definition) -> Result<(), StepError> {
    let Some(part) = definition.workload.stateful_parts().first() else { return Ok(()) };
    let path = definition.form.path();
    let what = format!(
        "{path}:{}: the workload keeps state in the {} {}, which no bundle moves",
        part.line, part.kind, part.name
    );
    Err(StepError::new(Code::WORKLOAD_STATEFUL, what).remedy(
        "move its data by itself, as objects or as a snapshot, and let the workload read them",
    ))
}

/// The unit that a definition becomes under a name.
fn unit(definition: &Definition, name: &str) -> Result<Unit, StepError> {
    match &definition.workload {
        Workload::Compose { .. } => Ok(Unit::Container(name.to_owned())),
        Workload::Kube(kube) if kube.pod() == name => Ok(Unit::Pod(name.to_owned())),
        Workload::Kube(kube) => {
            let what = format!("the pod of the manifests is called {}, not {name}", kube.pod());
            Err(StepError::new(Code::WORKLOAD_MALFORMED, what).remedy("write the same in both"))
        }
    }
}

/// The image of a definition: a bundle holds one.
fn image_name(definition: &Definition) -> Result<&str, StepError> {
    if let [one] = definition.workload.images().as_slice() {
        Ok(*one)
    } else {
        let what = "the workload has several images, and a bundle holds one";
        Err(StepError::new(Code::WORKLOAD_UNSUPPORTED, what)
            .remedy("move each container as a workload of its own"))
    }
}

fn exists(unit: &Unit) -> StepError {
    let what = format!("there is a workload {} already", unit.name());
    StepError::new(Code::WORKLOAD_EXISTS, what)
        .remedy("remove it with `carnet cap run workload.remove`, or name another one")
}

fn not_found(unit: &Unit) -> StepError {
    let what = format!("there is no workload {}", unit.name());
    StepError::new(Code::WORKLOAD_NOT_FOUND, what).remedy("correct the name or the runtime")
}

fn is_ours(state: &UnitState, mark: &str) -> bool {
    state.labels.get(LABEL).map(String::as_str) == Some(mark)
}

/// Waits until a workload that was started is well.
fn wait_until_well(
    runtime: &dyn ContainerRuntime,
    unit: &Unit,
    limit: Duration,
) -> Result<String, StepError> {
    let began = Instant::now();
    let unhealthy = |what: String| {
        StepError::new(Code::WORKLOAD_UNHEALTHY, format!("{} {what}", unit.name()))
            .remedy("see what it says, correct it, and run the plan again")
    };
    loop {
        let state = runtime.look(unit)?.ok_or_else(|| not_found(unit))?;
        if state.at_rest {
            let said = runtime.said(unit)?;
            return Err(unhealthy(format!("has ended: {}", said.trim())));
        }
        let said = if !state.running {
            state.word
        } else if state.has_healthcheck {
            let health = runtime.health(unit)?;
            if health.well {
                return Ok("healthy".to_owned());
            }
            health.said
        } else if began.elapsed() >= RUNS {
            return Ok("running".to_owned());
        } else {
            String::new()
        };
        if began.elapsed() >= limit {
            let what = format!("is not healthy after {} s: {}", limit.as_secs(), said.trim());
            return Err(unhealthy(what));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Place {
    fn placed(act: &Act<'_>, asked: &WorkloadPlace) -> Placed {
        Placed::new(act, &asked.into, Code::WORKLOAD_EXISTS)
    }

    /// Makes the container or the pod, or finds that an earlier attempt did.
    fn make(
        act: &Act<'_>,
        runtime: &dyn ContainerRuntime,
        made: &Made<'_>,
    ) -> Result<(), StepError> {
        match runtime.look(made.unit)? {
            Some(state) if is_ours(&state, made.mark) => return Ok(()),
            Some(_) => return Err(exists(made.unit)),
            None => {}
        }
        match &made.definition.workload {
            Workload::Compose { service, .. } => runtime.create(&container(service, made))?,
            Workload::Kube(kube) => {
                let file = made.into.join("kube.json");
                files::replace(&file, marked(kube, made.mark).as_bytes())?;
                runtime.create_pod(&file)?;
            }
        }
        act.pass("workload/made")
    }
}

/// What a container is made from.
struct Made<'a> {
    definition: &'a Definition,
    unit: &'a Unit,
    image: &'a HeldImage,
    into: &'a Path,
    mark: &'a str,
}

fn container(service: &Service, made: &Made<'_>) -> NewContainer {
    let mount = |mount: &Mount| Mount {
        from: made.into.join(&mount.from).display().to_string(),
        to: mount.to.clone(),
    };
    NewContainer {
        name: made.unit.name().to_owned(),
        image: made.image.id.clone(),
        command: service.command.clone(),
        environment: service.environment.clone(),
        ports: service.ports.clone(),
        mounts: service.mounts.iter().map(mount).collect(),
        healthcheck: service.healthcheck.clone(),
        labels: BTreeMap::from([(LABEL.to_owned(), made.mark.to_owned())]),
    }
}

/// The manifests with the mark on what becomes the pod, and no image fetched from anywhere.
fn marked(kube: &KubeWorkload, mark: &str) -> String {
    let mut documents = Vec::new();
    for manifest in &kube.manifests {
        let mut manifest = manifest.clone();
        let pod = if manifest.get("kind").and_then(|it| it.as_str()) == Some("Deployment") {
            manifest.pointer_mut("/spec/template")
        } else if manifest.get("spec").is_some() {
            Some(&mut manifest)
        } else {
            None
        };
        if let Some(pod) = pod {
            if let Some(containers) = pod.pointer_mut("/spec/containers") {
                for container in containers.as_array_mut().into_iter().flatten() {
                    if let Some(container) = container.as_object_mut() {
                        container.insert("imagePullPolicy".to_owned(), "Never".into());
                    }
                }
            }
            if let Some(pod) = pod.as_object_mut() {
                let metadata = pod.entry("metadata").or_insert_with(|| serde_json::json!({}));
                if let Some(metadata) = metadata.as_object_mut() {
                    let labels = metadata.entry("labels").or_insert_with(|| serde_json::json!({}));
                    if let Some(labels) = labels.as_object_mut() {
                        labels.insert(LABEL.to_owned(), mark.into());
                    }
                }
            }
        }
        documents.push(manifest.to_string());
    }
    documents.join("\n---\n")
}

impl Capability for Place {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let asked: WorkloadPlace = act.inputs()?;
        let from = whole(act, &asked.from);
        let definition = definition(&from)?;
        stateless(&definition)?;
        let name = image_name(&definition)?;
        let manifest = verify_image(&from.join(IMAGE_FOLDER), ImageLimits::default())?;
        let mut paths = vec![definition.form.path().to_owned()];
        paths.extend(files_below(&from, CONFIG_FOLDER)?);
        for path in definition.workload.config_paths() {
            let below = format!("{path}/");
            if !paths.iter().any(|it| it == path || it.starts_with(&below)) {
                let what = format!("{path} is mounted, and is not among the files of the bundle");
                return Err(StepError::new(Code::ARTIFACT, what).remedy("bundle it too"));
            }
        }
        let runtime = runtime(act, &asked.runtime)?;
        let unit = unit(&definition, &asked.name)?;
        let version = runtime.version()?;
        if runtime.look(&unit)?.is_some() {
            return Err(exists(&unit));
        }
        let inputs = Object::from([
            ("runtime".to_owned(), version.into()),
            ("image".to_owned(), name.into()),
            ("image_manifest".to_owned(), manifest.into()),
            ("image_there".to_owned(), runtime.image(name)?.is_some().into()),
            ("files".to_owned(), Value::Object(seen(&from, &paths)?)),
        ]);
        Self::placed(act, &asked).is_free(inputs)
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let asked: WorkloadPlace = act.inputs()?;
        let (from, placed) = (whole(act, &asked.from), Self::placed(act, &asked));
        placed.claim()?;
        copy_seen(&from, &placed.path, object_of(inputs, "files")?)?;
        act.pass("workload/files")?;
        let definition = definition(&placed.path)?;
        let image = from.join(IMAGE_FOLDER);
        let manifest = verify_image(&image, ImageLimits::default())?;
        if text_of(inputs, "image_manifest") != Some(manifest.to_string()) {
            let what = format!("the image in {} changed since it was looked at", image.display());
            return Err(StepError::new(Code::CONTENT_DIFFERS, what)
                .remedy("let nobody write to it, and run the plan again"));
        }
        let runtime = runtime(act, &asked.runtime)?;
        let held = runtime.load(&image, image_name(&definition)?)?;
        act.pass("workload/loaded")?;
        let (unit, mark) = (unit(&definition, &asked.name)?, mark(act));
        let made = Made {
            definition: &definition,
            unit: &unit,
            image: &held,
            into: &placed.path,
            mark: &mark,
        };
        Self::make(act, runtime.as_ref(), &made)?;
        let mut done = Done::default()
            .fact("container", unit.name())
            .fact("image_id", held.id.clone())
            .fact("image_manifest", manifest)
            .fact("started", asked.start);
        if asked.start {
            runtime.start(&unit)?;
            act.pass("workload/started")?;
            let limit = Duration::from_secs(asked.healthy_within_s.into());
            done = done.fact("state", wait_until_well(runtime.as_ref(), &unit, limit)?);
        }
        let admitted = Note::done(EventBody::WorkloadAdmit, "place").about(unit.name());
        Ok(done.note(admitted.with("image_manifest", manifest.into())))
    }

    /// What is ours is there and, where it was to start, is well: all before it was done as well.
    fn probe(&self, act: &Act<'_>, inputs: &Object) -> Result<Probed, StepError> {
        let asked: WorkloadPlace = act.inputs()?;
        let placed = Self::placed(act, &asked);
        if !placed.is_ours()? || text_of(inputs, "image").is_none() {
            return Ok(Probed::NotApplied);
        }
        let Ok(definition) = definition(&placed.path) else { return Ok(Probed::NotApplied) };
        let unit = unit(&definition, &asked.name)?;
        let state = runtime(act, &asked.runtime)?.look(&unit)?;
        // A start is waited for by acting again.
        let there = state.is_some_and(|it| is_ours(&it, &mark(act))) && !asked.start;
        if !there {
            return Ok(Probed::NotApplied);
        }
        let admitted = Note::done(EventBody::WorkloadAdmit, "place").about(unit.name());
        let done = Done::default().fact("container", unit.name()).fact("started", false);
        Ok(Probed::Applied(done.note(admitted)))
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let asked: WorkloadPlace = act.inputs()?;
        let (runtime, mark) = (runtime(act, &asked.runtime)?, mark(act));
        let mut left = Vec::new();
        for unit in [unit_of(&asked.name, false), unit_of(&asked.name, true)] {
            match runtime.look(&unit)? {
                Some(state) if is_ours(&state, &mark) => {
                    runtime.stop(&unit, UNDO_STOP)?;
                    runtime.remove(&unit)?;
                }
                Some(_) => left.push(format!("{} was made by somebody else", unit.name())),
                None => {}
            }
        }
        act.pass("workload/removed")?;
        if let Some(name) = text_of(inputs, "image").filter(|_| !flag_of(inputs, "image_there"))
            && let Some(held) = runtime.image(&name)?
        {
            runtime.remove_image(&held.id)?;
        }
        left.extend(Self::placed(act, &asked).remove()?);
        remove_made(inputs);
        Ok(left)
    }
}

impl Capability for Start {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let asked: WorkloadStart = act.inputs()?;
        let unit = unit_of(&asked.name, asked.pod);
        let state = runtime(act, &asked.runtime)?.look(&unit)?.ok_or_else(|| not_found(&unit))?;
        Ok(Object::from([
            ("container".to_owned(), asked.name.into()),
            ("id".to_owned(), state.id.into()),
            ("ran".to_owned(), (!state.at_rest).into()),
        ]))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let asked: WorkloadStart = act.inputs()?;
        let (unit, runtime) = (unit_of(&asked.name, asked.pod), runtime(act, &asked.runtime)?);
        let state = runtime.look(&unit)?.ok_or_else(|| not_found(&unit))?;
        if text_of(inputs, "id") != Some(state.id) {
            return Err(exists(&unit));
        }
        runtime.start(&unit)?;
        act.pass("workload/started")?;
        let limit = Duration::from_secs(asked.healthy_within_s.into());
        let state = wait_until_well(runtime.as_ref(), &unit, limit)?;
        Ok(Done::default().fact("container", unit.name()).fact("state", state))
    }

    /// Starting twice does no harm: whether it is well is seen by doing it again.
    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let asked: WorkloadStart = act.inputs()?;
        let (unit, runtime) = (unit_of(&asked.name, asked.pod), runtime(act, &asked.runtime)?);
        let ours = runtime.look(&unit)?.filter(|it| Some(&it.id) == text_of(inputs, "id").as_ref());
        if ours.is_some() && !flag_of(inputs, "ran") {
            runtime.stop(&unit, UNDO_STOP)?;
        }
        Ok(Vec::new())
    }
}

impl Capability for Stop {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let asked: WorkloadStop = act.inputs()?;
        let unit = unit_of(&asked.name, asked.pod);
        let state = runtime(act, &asked.runtime)?.look(&unit)?.ok_or_else(|| not_found(&unit))?;
        Ok(Object::from([
            ("container".to_owned(), asked.name.into()),
            ("id".to_owned(), state.id.into()),
            ("ran".to_owned(), state.running.into()),
        ]))
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let asked: WorkloadStop = act.inputs()?;
        let (unit, runtime) = (unit_of(&asked.name, asked.pod), runtime(act, &asked.runtime)?);
        runtime.stop(&unit, Duration::from_secs(asked.within_s.into()))?;
        act.pass("workload/stopped")?;
        let state = runtime.look(&unit)?.ok_or_else(|| not_found(&unit))?;
        if !state.at_rest {
            let what = format!("{} is {} after it was stopped", unit.name(), state.word);
            return Err(StepError::new(Code::WORKLOAD_RUNNING, what)
                .remedy("see what holds it, and run the plan again"));
        }
        Ok(Done::default().fact("container", unit.name()).fact("state", state.word))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    /// Starts what ran, and says so if it does not become well again.
    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let asked: WorkloadStop = act.inputs()?;
        if !flag_of(inputs, "ran") {
            return Ok(Vec::new());
        }
        let (unit, runtime) = (unit_of(&asked.name, asked.pod), runtime(act, &asked.runtime)?);
        if runtime.look(&unit)?.is_none() {
            return Ok(vec![format!("{} ran, and is gone", unit.name())]);
        }
        runtime.start(&unit)?;
        act.pass("workload/started_again")?;
        match wait_until_well(runtime.as_ref(), &unit, Duration::from_mins(1)) {
            Ok(_) => Ok(Vec::new()),
            Err(error) if error.code == Code::WORKLOAD_UNHEALTHY => Ok(vec![error.told()]),
            Err(error) => Err(error),
        }
    }
}

impl Remove {
    /// The folder of the definition, where the plan names one: anything else is never removed.
    fn folder(act: &Act<'_>, asked: &WorkloadRemove) -> Option<PathBuf> {
        let folder = whole(act, asked.folder.as_ref()?);
        let there = |form: DefinitionForm| folder.join(form.path()).is_file();
        DefinitionForm::ALL.into_iter().any(there).then_some(folder)
    }
}

impl Capability for Remove {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let asked: WorkloadRemove = act.inputs()?;
        let unit = unit_of(&asked.name, asked.pod);
        let state = runtime(act, &asked.runtime)?.look(&unit)?.ok_or_else(|| not_found(&unit))?;
        if !state.at_rest {
            let what = format!("the workload {} is {}", unit.name(), state.word);
            return Err(StepError::new(Code::WORKLOAD_RUNNING, what)
                .remedy("stop it first, with `workload.stop`"));
        }
        if asked.folder.is_some() && Self::folder(act, &asked).is_none() {
            let what = "the folder holds no definition of a workload";
            return Err(StepError::new(Code::WORKLOAD_NOT_FOUND, what).remedy("correct its path"));
        }
        Ok(Object::from([
            ("container".to_owned(), asked.name.into()),
            ("id".to_owned(), state.id.into()),
            ("image_id".to_owned(), state.image.into()),
        ]))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let asked: WorkloadRemove = act.inputs()?;
        let (unit, runtime) = (unit_of(&asked.name, asked.pod), runtime(act, &asked.runtime)?);
        if let Some(state) = runtime.look(&unit)? {
            if text_of(inputs, "id") != Some(state.id) {
                return Err(exists(&unit));
            }
            runtime.remove(&unit)?;
        }
        act.pass("workload/removed")?;
        let image = text_of(inputs, "image_id").filter(|it| !it.is_empty());
        let image = image.map(|id| runtime.remove_image(&id)).transpose()?;
        if let Some(folder) = Self::folder(act, &asked) {
            files::remove_folder(&folder)?;
        }
        let ended = Note::done(EventBody::WorkloadTerminate, "remove").about(unit.name());
        Ok(Done::default()
            .fact("container", unit.name())
            .fact("image_removed", image.unwrap_or_default())
            .note(ended))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}
