//! A terminal for a test: util-linux's `script` makes it and passes on what is typed and shown.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A command in a terminal of its own.
pub struct Pty {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Pty {
    /// Runs a shell script in it. `setup` decides about directory and environment.
    pub fn run(script: &str, setup: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("script");
        command
            .args(["-qefc", script, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        setup(&mut command);
        let mut child = command.spawn().expect("`script` of util-linux (bsdutils) starts");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut output, sink) = (child.stdout.take().expect("piped"), shown.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                sink.lock().expect("not poisoned").extend_from_slice(&buffer[..count]);
            }
        });
        Self { child, shown }
    }

    /// Everything that has been shown.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("not poisoned")).into_owned()
    }

    /// Types.
    pub fn types(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().expect("piped");
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).expect("the terminal takes keys");
    }

    /// Waits until this text is shown, and returns what was shown up to there.
    #[track_caller]
    pub fn shows(&self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let shown = self.shown();
            if let Some(at) = shown.find(text) {
                return shown[..at].to_owned();
            }
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "the terminal does not show {text:?}:\n{shown}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The id of `script` itself. When it ends, the terminal is gone.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the script has ended.
    #[track_caller]
    pub fn end(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it does not end:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
