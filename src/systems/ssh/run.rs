//! A command on a master, and what came of it.

use std::io::Read;

use ssh2::{Channel, Session};

use super::Call;
use super::error::Libssh2;
use crate::text::excerpt;

/// The most bytes that are taken of a kubeconfig. kubeadm's has less than 6 KiB.
const OUTPUT_LIMIT: usize = 1 << 20;

/// A command that has ended.
pub(super) struct Ran {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) status: i32,
    pub(super) signal: Option<String>,
}

impl Ran {
    pub(super) fn new(call: &Call, session: &Session, command: &str) -> Result<Self, Libssh2> {
        let mut channel = session.channel_session()?;
        let ran = Self::on(call, session, &mut channel, command);
        if ran.is_err() {
            // Dropping a channel waits for the server to close it, which one that is silent does not.
            session.set_timeout(1);
        }
        ran
    }

    fn on(call: &Call, session: &Session, channel: &mut Channel, command: &str) -> Result<Self, Libssh2> {
        call.arm(session);
        channel.exec(command)?;
        let stdout = read_bounded(call, session, channel)?;
        let stderr = read_bounded(call, session, &mut channel.stderr())?;
        call.arm(session);
        channel.wait_close()?;
        // libssh2 says 0 for a command that a signal ended.
        let (status, signal) = (channel.exit_status()?, channel.exit_signal()?.exit_signal);
        Ok(Self { stdout, stderr, status, signal })
    }

    /// What it wrote; else how it ended, with what it complained about. What it wrote is never in that.
    pub(super) fn output(self) -> Result<String, String> {
        let complaint = match excerpt(&String::from_utf8_lossy(&self.stderr)) {
            line if line.is_empty() => String::new(),
            line => format!(" ({line})"),
        };
        if let Some(signal) = self.signal {
            return Err(format!("was ended by signal {}{complaint}", excerpt(&signal)));
        }
        if self.status != 0 {
            return Err(format!("ended with status {}{complaint}", self.status));
        }
        match String::from_utf8(self.stdout) {
            Ok(text) if text.trim().is_empty() => Err(format!("wrote nothing{complaint}")),
            Ok(text) => Ok(text),
            Err(_) => Err("wrote something that is not text".to_owned()),
        }
    }
}

/// Reads to the end. More than the limit is an error: half a kubeconfig is of no use.
fn read_bounded(call: &Call, session: &Session, from: &mut impl Read) -> Result<Vec<u8>, Libssh2> {
    let mut all = Vec::new();
    let mut chunk = [0; 8 << 10];
    loop {
        call.arm(session);
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&chunk[..read]);
        if all.len() > OUTPUT_LIMIT {
            return Err(Libssh2(format!("it writes more than {OUTPUT_LIMIT} bytes")));
        }
    }
}
