//! A fleet command whose standard error is read as it comes, so that a test can act in the middle of it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::fleet::{Fleet, Run};
use super::volumes::has_no_secret;
use super::world::try_sh;

/// See the module.
pub struct Watched {
    child: Child,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<String>>,
}

impl Watched {
    /// Starts it.
    pub fn start(fleet: &Fleet, args: &[&str]) -> Self {
        let mut child =
            fleet.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("fleet starts");
        let (mut stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let said = Arc::new(Mutex::new(String::new()));
        let told = said.clone();
        let readers = vec![
            std::thread::spawn(move || {
                let mut all = String::new();
                let _ = stdout.read_to_string(&mut all);
                all
            }),
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let mut said = told.lock().expect("not poisoned");
                    said.push_str(&line);
                    said.push('\n');
                }
                String::new()
            }),
        ];
        Self { child, said, readers }
    }

    /// Waits until standard error has this text.
    #[track_caller]
    pub fn until(&self, text: &str) {
        let began = Instant::now();
        while !self.said().contains(text) {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "standard error does not say {text:?}:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn said(&self) -> String {
        self.said.lock().expect("not poisoned").clone()
    }

    /// Sends it a signal: `INT`, `STOP`, `CONT`.
    pub fn signal(&self, signal: &str) {
        let sent = try_sh("kill", &[&format!("-{signal}"), &self.child.id().to_string()]);
        assert!(sent.status.success(), "fleet has ended already:\n{}", self.said());
    }

    /// Does something while fleet stands still.
    pub fn meanwhile<T>(&self, act: impl FnOnce() -> T) -> T {
        self.signal("STOP");
        let done = act();
        self.signal("CONT");
        done
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn end(mut self) -> Run {
        let status = self.child.wait().expect("fleet ends").code();
        let stdout = self.readers.drain(..).map(|reader| reader.join().expect("it reads")).collect();
        let run = Run { status, stdout, stderr: self.said() };
        has_no_secret(&run);
        run
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // One that stands still, or that a failing test left behind, ends nothing by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
