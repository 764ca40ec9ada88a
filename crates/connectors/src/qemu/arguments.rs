//! What QEMU and swtpm are told of a machine.

use std::fmt::Write as _;
use std::path::Path;

use carnet_connect::Boot;
use carnet_model::workload::{Firmware, MachinePart};

use super::folder::{CONSOLE, EMULATOR_PID, MONITOR, TPM, TPM_PID};

/// A path within a list of options, in which a comma ends an option.
fn option(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The words for swtpm, run in the folder of the machine. Its state and its process id are named by
/// absolute paths, because it leaves the folder; its socket by a short one.
pub(super) fn tpm(folder: &Path) -> Vec<String> {
    vec![
        "socket".to_owned(),
        "--tpm2".to_owned(),
        "--tpmstate".to_owned(),
        format!("dir={}", folder.join(MachinePart::TpmState.path()).display()),
        "--ctrl".to_owned(),
        format!("type=unixio,path={TPM}"),
        "--pid".to_owned(),
        format!("file={}", folder.join(TPM_PID).display()),
        // It ends when the emulator has.
        "--terminate".to_owned(),
        "--daemon".to_owned(),
    ]
}

/// The words for the emulator, run in the folder of the machine.
pub(super) fn emulator(folder: &Path, boot: &Boot, firmware_code: &Path) -> Vec<String> {
    let machine = &boot.machine;
    let mut args: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["-name", &boot.key, "-no-user-config", "-nodefaults", "-display", "none"]);
    // Interpreted, never by KVM: a machine must come up the same wherever it is tried.
    add(&["-machine", "q35", "-accel", "tcg"]);
    add(&["-smp", &machine.processors.to_string(), "-m", &machine.memory_mib.to_string()]);
    if machine.firmware == Firmware::Uefi {
        let code = option(firmware_code);
        let code = format!("if=pflash,unit=0,format=raw,readonly=on,file={code}");
        let variables = option(&folder.join(MachinePart::FirmwareVariables.path()));
        let variables = format!("if=pflash,unit=1,format=raw,file={variables}");
        add(&["-drive", &code, "-drive", &variables]);
    }
    let disk = option(&folder.join(machine.disk_format.path()));
    let disk = format!("if=none,id=disk0,format={},file={disk}", machine.disk_format);
    add(&["-drive", &disk, "-device", "virtio-blk-pci,drive=disk0,bootindex=0"]);
    // Shut in: nothing leads out, and only the named ports lead in.
    let mut network = "user,id=net0,restrict=on".to_owned();
    for port in &boot.forward {
        let _ = write!(network, ",hostfwd=tcp:127.0.0.1:{}-:{}", port.outside, port.inside);
    }
    add(&["-netdev", &network, "-device", "virtio-net-pci,netdev=net0,romfile="]);
    if machine.tpm {
        let channel = format!("socket,id=tpm,path={TPM}");
        add(&["-chardev", &channel, "-tpmdev", "emulator,id=tpm0,chardev=tpm"]);
        add(&["-device", "tpm-crb,tpmdev=tpm0"]);
    }
    let console = format!("file:{}", folder.join(CONSOLE).display());
    let monitor = format!("unix:{MONITOR},server=on,wait=off");
    let process = folder.join(EMULATOR_PID).display().to_string();
    add(&["-serial", &console, "-qmp", &monitor, "-pidfile", &process, "-daemonize"]);
    args
}

#[cfg(test)]
mod tests {
    use carnet_connect::Forward;
    use carnet_model::workload::{DiskFormat, MACHINE_VERSION, MachineFile};

    use super::*;

    fn boot(firmware: Firmware, tpm: bool) -> String {
        let machine = MachineFile {
            version: MACHINE_VERSION.to_owned(),
            name: "m".to_owned(),
            architecture: "x86_64".to_owned(),
            processors: 2,
            memory_mib: 256,
            firmware,
            tpm,
            disk_format: DiskFormat::Raw,
            disk_virtual_size: 512,
        };
        let forward = vec![Forward { outside: 8080, inside: 80 }];
        let boot = Boot { machine, key: "k".to_owned(), forward };
        emulator(Path::new("/a,b"), &boot, Path::new("/code.fd")).join(" ")
    }

    #[test]
    fn a_machine_is_told_in_full_and_a_comma_stays_in_its_path() {
        let told = boot(Firmware::Uefi, true);
        for part in [
            "-name k ",
            "readonly=on,file=/code.fd",
            "format=raw,file=/a,,b/machine/firmware-vars.fd",
            "id=disk0,format=raw,file=/a,,b/machine/disk.raw",
            "hostfwd=tcp:127.0.0.1:8080-:80",
            "tpm-crb,tpmdev=tpm0",
            "-accel tcg",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        let told = boot(Firmware::Bios, false);
        assert!(!told.contains("pflash") && !told.contains("tpm"), "{told}");
        assert!(tpm(Path::new("/m")).contains(&"dir=/m/machine/tpm".to_owned()));
    }
}
