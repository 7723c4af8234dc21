//! What takes away what a test leaves, also where the test is killed.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// A shell that waits beside the tests and then runs a script: when this is dropped, and when this process is gone, however it
/// ends, for its standard input ends with us.
pub struct Sweeper(Child);

impl Sweeper {
    /// `shell` is `sh`, with what it takes for it to be allowed to. The script is given the arguments.
    pub fn new(mut shell: Command, script: &str, args: &[impl AsRef<OsStr>]) -> Self {
        let child = shell
            .args(["-c", &format!("cat >/dev/null\n{script}"), "sh"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // Ctrl-C is for the tests
            .spawn()
            .expect("sh starts");
        Self(child)
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        // `wait` closes the standard input first.
        let _ = self.0.wait();
    }
}
