//! Containers by podman, run as a program (decision 18 says why). Images come from folders alone:
//! nothing is ever fetched.

mod arguments;
mod state;

use std::path::Path;
use std::time::Duration;

use carnet_connect::{
    ContainerPlace, ContainerRuntime, Health, HeldImage, NewContainer, StoreError, Unit, UnitState,
};
use carnet_model::Code;

use crate::program::{Program, Ran};

/// How long each call may take; an image may be large.
const CALL: Duration = Duration::from_mins(2);
const LOAD: Duration = Duration::from_hours(1);

/// A runtime of containers.
pub fn open_containers(place: &ContainerPlace) -> Box<dyn ContainerRuntime> {
    Box::new(Podman { place: place.clone() })
}

struct Podman {
    place: ContainerPlace,
}

impl Podman {
    /// Runs it with the words that say where its things are.
    fn call<T>(
        &self,
        words: &[&str],
        limit: Duration,
        read: impl FnOnce(&Program<'_>, &[&str], Ran) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.call_in(None, words, limit, read)
    }

    fn call_in<T>(
        &self,
        folder: Option<&Path>,
        words: &[&str],
        limit: Duration,
        read: impl FnOnce(&Program<'_>, &[&str], Ran) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let storage = self.place.storage.as_ref();
        let root = storage.map(|it| it.join("storage").display().to_string());
        let run = storage.map(|it| it.join("run").display().to_string());
        let mut args = Vec::new();
        if let (Some(root), Some(run)) = (&root, &run) {
            args.extend(["--root", root, "--runroot", run]);
        }
        args.extend(words);
        let settings = self.place.settings.as_ref().map(|it| it.display().to_string());
        let env: Vec<_> = settings.into_iter().map(|it| ("CONTAINERS_CONF", it)).collect();
        let code = Code::WORKLOAD_FAILED;
        let name = self.place.program.as_str();
        let program = Program { name, env: &env, folder, limit, code };
        let ran = program.run(&args)?;
        read(&program, words, ran)
    }

    /// What must succeed.
    fn done(&self, words: &[&str]) -> Result<Ran, StoreError> {
        self.call(words, CALL, success)
    }

    /// What says yes (0) or no (1) by its status.
    fn is(&self, words: &[&str]) -> Result<bool, StoreError> {
        self.call(words, CALL, |program, words, ran| match ran.status {
            0 => Ok(true),
            1 => Ok(false),
            _ => Err(program.failed(words, &ran)),
        })
    }

    /// The names of the containers of a unit, without that which holds a pod together.
    fn members(&self, unit: &Unit) -> Result<Vec<String>, StoreError> {
        match unit {
            Unit::Container(name) => Ok(vec![name.clone()]),
            Unit::Pod(name) => state::members(&self.done(&["pod", "inspect", name])?.stdout),
        }
    }

    fn inspect(&self, container: &str) -> Result<state::Container, StoreError> {
        state::container(&self.done(&["container", "inspect", container])?.stdout)
    }

    /// What is refused of a container once the runtime has said how it understood it.
    fn check(&self, wanted: &NewContainer) -> Result<(), StoreError> {
        let made = self.inspect(&wanted.name)?;
        let shared = made.host_network();
        if let Some(port) = wanted.ports.iter().find(|it| shared && it.outside != it.inside) {
            let what = format!(
                "{} shows port {} as {}, and the runtime shares the network of this machine",
                wanted.name, port.inside, port.outside
            );
            return Err(StoreError::new(Code::WORKLOAD_UNSUPPORTED, what)
                .remedy("let both ports be the same, or give the runtime a network of its own"));
        }
        let asked = wanted.healthcheck.as_ref().map(|it| it.test.clone());
        if asked.is_some_and(|asked| !made.has_test(&asked)) {
            let what =
                format!("the runtime understood the health check of {} otherwise", wanted.name);
            return Err(StoreError::new(Code::WORKLOAD_UNSUPPORTED, what)
                .remedy("write it as [CMD-SHELL, line]"));
        }
        Ok(())
    }
}

fn success(program: &Program<'_>, words: &[&str], ran: Ran) -> Result<Ran, StoreError> {
    if ran.status == 0 { Ok(ran) } else { Err(program.failed(words, &ran)) }
}

fn exists(name: &str) -> StoreError {
    StoreError::new(Code::WORKLOAD_EXISTS, format!("there is a workload {name} already"))
        .remedy("remove it, or name another one")
}

impl ContainerRuntime for Podman {
    fn version(&self) -> Result<String, StoreError> {
        Ok(self.done(&["--version"])?.text())
    }

    fn load(&self, layout: &Path, name: &str) -> Result<HeldImage, StoreError> {
        // By its own name from the folder above it: a path is no name of an image.
        let (Some(above), Some(own)) = (layout.parent(), layout.file_name()) else {
            let what = format!("{} is no folder of an image", layout.display());
            return Err(StoreError::new(Code::WORKLOAD_IMAGE, what).remedy("name another folder"));
        };
        let named = self.done(&["images", "--format", "{{.Repository}}:{{.Tag}}"])?.text();
        let from = format!("oci:{}", own.display());
        let id = self.call_in(Some(above), &["pull", "--quiet", &from], LOAD, success)?.text();
        // What it is called after its folder means nothing to anybody.
        for tag in state::tags(&self.done(&["image", "inspect", &id])?.stdout)? {
            if !named.lines().any(|it| it == tag) {
                self.done(&["untag", &id, &tag])?;
            }
        }
        self.done(&["tag", &id, name])?;
        self.image(&id)?.ok_or_else(|| {
            StoreError::new(Code::WORKLOAD_FAILED, format!("the image {id} was lost"))
        })
    }

    fn image(&self, name: &str) -> Result<Option<HeldImage>, StoreError> {
        if !self.is(&["image", "exists", name])? {
            return Ok(None);
        }
        state::image(&self.done(&["image", "inspect", name])?.stdout).map(Some)
    }

    fn remove_image(&self, id: &str) -> Result<bool, StoreError> {
        if !self.is(&["image", "exists", id])? {
            return Ok(false);
        }
        self.call(&["rmi", id], CALL, |program, words, ran| match ran.status {
            0 => Ok(true),
            // Another container is made of it.
            2 => Ok(false),
            _ => Err(program.failed(words, &ran)),
        })
    }

    fn create(&self, container: &NewContainer) -> Result<(), StoreError> {
        if self.is(&["container", "exists", &container.name])? {
            return Err(exists(&container.name));
        }
        let args = arguments::create(container)?;
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        self.done(&args)?;
        self.check(container).inspect_err(|_| {
            // What was refused was never run; the refusal is what counts.
            let _ = self.done(&["rm", &container.name]);
        })
    }

    fn create_pod(&self, manifests: &Path) -> Result<(), StoreError> {
        self.done(&["play", "kube", "--start=false", &manifests.display().to_string()]).map(drop)
    }

    fn look(&self, unit: &Unit) -> Result<Option<UnitState>, StoreError> {
        match unit {
            Unit::Container(name) => {
                if !self.is(&["container", "exists", name])? {
                    return Ok(None);
                }
                Ok(Some(self.inspect(name)?.state()))
            }
            Unit::Pod(name) => {
                if !self.is(&["pod", "exists", name])? {
                    return Ok(None);
                }
                let mut state = state::pod(&self.done(&["pod", "inspect", name])?.stdout)?;
                for member in self.members(unit)? {
                    let one = self.inspect(&member)?.state();
                    state.has_healthcheck |= one.has_healthcheck;
                    state.image = one.image;
                }
                Ok(Some(state))
            }
        }
    }

    fn start(&self, unit: &Unit) -> Result<(), StoreError> {
        match unit {
            Unit::Container(name) => self.done(&["start", name]),
            Unit::Pod(name) => self.done(&["pod", "start", name]),
        }
        .map(drop)
    }

    fn stop(&self, unit: &Unit, within: Duration) -> Result<(), StoreError> {
        let seconds = within.as_secs().to_string();
        let words: Vec<&str> = match unit {
            Unit::Container(name) => vec!["stop", "--time", &seconds, name],
            Unit::Pod(name) => vec!["pod", "stop", "--time", &seconds, name],
        };
        self.call(&words, CALL + within, success).map(drop)
    }

    fn remove(&self, unit: &Unit) -> Result<bool, StoreError> {
        if self.look(unit)?.is_none() {
            return Ok(false);
        }
        match unit {
            Unit::Container(name) => self.done(&["rm", name])?,
            Unit::Pod(name) => {
                // What it was given as settings lies in volumes, which would stay.
                let mut volumes = Vec::new();
                for member in self.members(unit)? {
                    volumes.extend(self.inspect(&member)?.volumes());
                }
                let ran = self.done(&["pod", "rm", name])?;
                for volume in volumes {
                    self.is(&["volume", "rm", &volume])?;
                }
                ran
            }
        };
        Ok(true)
    }

    fn health(&self, unit: &Unit) -> Result<Health, StoreError> {
        let mut said = String::new();
        for member in self.members(unit)? {
            if !self.inspect(&member)?.state().has_healthcheck {
                continue;
            }
            let ran = self.call(&["healthcheck", "run", &member], CALL, |_, _, ran| Ok(ran))?;
            said = ran.last_line();
            if ran.status != 0 {
                return Ok(Health { well: false, said });
            }
        }
        Ok(Health { well: true, said })
    }

    fn said(&self, unit: &Unit) -> Result<String, StoreError> {
        let mut said = String::new();
        for member in self.members(unit)? {
            let ran = self.done(&["logs", "--tail", "3", &member])?;
            said.push_str(&ran.last_line());
        }
        Ok(said)
    }
}
