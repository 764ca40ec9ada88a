//! Runs Python with faiss-cpu, pyarrow and numpy: the outside view of our files.

use std::path::Path;
use std::process::Command;

/// Runs a script in `dir` and returns what it printed. Fails the test if the script fails.
#[expect(clippy::disallowed_methods, reason = "the test command tells where Python is")]
pub(crate) fn python(dir: &Path, script: &str) -> String {
    let program = std::env::var("CARNET_TEST_PYTHON")
        .expect("CARNET_TEST_PYTHON is not set: run ./test, which installs faiss-cpu and pyarrow");
    let output = Command::new(program)
        .args(["-c", script])
        .current_dir(dir)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .expect("Python starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the script failed:\n{script}\n{errors}");
    String::from_utf8(output.stdout).expect("the script prints UTF-8")
}
