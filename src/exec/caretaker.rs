//! Who ends commands in sandboxes when fleet itself is gone, killed say: closing the stream of an exec does not end its
//! process, and whoever was killed ends nothing.
//!
//! It is a process of its own that reads what fleet tells it: each command before it is begun, and once it has ended. When
//! fleet is gone, so is the other end of the line; what has not ended by then is ended.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::ending::{clear, end_marked, within_limit};
use crate::hub::{DeclaredEngine, Endpoint, EngineName};
use crate::interrupt::Interrupt;
use crate::systems::docker::Engine;

/// The command that is the caretaker. No operator calls it.
pub const COMMAND: &str = "caretaker";

/// What it is called in lists of processes. Whoever kills every `fleet` by name does not mean who clears up after them.
const NAME: &str = "fleet-caretaker";

/// How long fleet waits for a caretaker that does not read, which takes microseconds.
const LISTENS: Duration = Duration::from_secs(1);

/// How many sandboxes at once.
const PARALLEL: usize = 32;

/// How often it is tried in a sandbox that does not answer, and how long it waits in between. An engine that was asked to
/// start a command just before may do so a moment later, so there are two rounds at least.
const ROUNDS: usize = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// What fleet tells it, a line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Word {
    /// A command is about to begin.
    Begins {
        /// The mark of its processes.
        mark: String,
        /// Where.
        #[serde(flatten)]
        at: At,
    },
    /// Nothing of it is left.
    Ended {
        /// Its mark.
        mark: String,
    },
}

/// A sandbox, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct At {
    engine: Endpoint,
    limit: Duration,
    sandbox: String,
    /// What has to be removed there.
    leaves: Vec<String>,
}

/// fleet's end of the line. When it is dropped, a caretaker with nothing to do goes at once, and another one does it.
#[derive(Debug)]
pub struct Caretaker {
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    process: Child,
    line: UnixStream,
    /// How many commands have begun and not ended.
    open: usize,
    /// Why it cannot be told any more.
    deaf: Option<io::Error>,
}

/// A command that the caretaker knows of. Where this is dropped and its end was not told, it is as good as running.
#[derive(Debug)]
#[must_use]
pub struct Watched<'c> {
    by: &'c Caretaker,
    mark: String,
}

impl Caretaker {
    /// Starts one, in a process group of its own: Ctrl-C is for fleet.
    pub fn start() -> io::Result<Self> {
        let (line, its) = UnixStream::pair()?;
        line.set_write_timeout(Some(LISTENS))?;
        // This very program, even where another one has been installed over it meanwhile.
        let process = Command::new("/proc/self/exe")
            .arg0(NAME)
            .arg(COMMAND)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(its)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { told: Mutex::new(Told { process, line, open: 0, deaf: None }) })
    }

    /// Tells it of a command, before the engine is asked for it, and of the paths in the sandbox that it removes only if it
    /// comes to its end.
    pub fn begins(&self, engine: &Engine, sandbox: &str, mark: &str, leaves: &[String]) -> Watched<'_> {
        let mut told = self.told();
        told.open += 1;
        // On an engine that cannot be told, nothing can be begun either.
        if let Ok((engine, limit)) = engine.address(sandbox) {
            let at = At { engine, limit, sandbox: sandbox.to_owned(), leaves: leaves.to_vec() };
            told.tell(&Word::Begins { mark: mark.to_owned(), at });
        }
        Watched { by: self, mark: mark.to_owned() }
    }

    /// Why it could not be told everything, once.
    pub fn trouble(&self) -> Option<io::Error> {
        self.told().deaf.take()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched<'_> {
    /// Nothing of it is left in the sandbox, as far as fleet knows.
    pub fn ended(self) {
        let mut told = self.by.told();
        told.open -= 1;
        told.tell(&Word::Ended { mark: self.mark });
    }
}

impl Told {
    fn tell(&mut self, word: &Word) {
        let said = serde_json::to_vec(word).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.line.write_all(&line)
        });
        if let Err(error) = said {
            self.deaf.get_or_insert(error);
        }
    }
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        let told = self.told.get_mut().unwrap_or_else(PoisonError::into_inner);
        if told.open == 0 {
            // It has nothing to put in order. That it has ended already is as good.
            let _ = told.process.kill();
            let _ = told.process.wait();
        }
    }
}

/// The caretaker's own life: reads until fleet is gone, then ends what is left. Whether all of it was ended.
pub fn take_care(line: impl Read) -> io::Result<bool> {
    name_this_process();
    let left = listen(line);
    if left.is_empty() {
        return Ok(true);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(end_all(left)))
}

/// As whose executable it was started is no name that says anything.
fn name_this_process() {
    let comm = std::fs::OpenOptions::new().write(true).open("/proc/self/comm");
    // Names are for readers: without one, all goes on as well.
    let _ = comm.and_then(|mut comm| comm.write_all(NAME.as_bytes()));
}

/// What had begun and not ended when the line was cut. A last line that was not written to its end is no news: its command
/// had not begun, or has ended.
fn listen(line: impl Read) -> BTreeMap<String, At> {
    let mut left = BTreeMap::new();
    for text in BufReader::new(line).lines().map_while(Result::ok) {
        match serde_json::from_str(&text) {
            Ok(Word::Begins { mark, at }) => {
                left.insert(mark, at);
            }
            Ok(Word::Ended { mark }) => {
                left.remove(&mark);
            }
            Err(_) => {}
        }
    }
    left
}

async fn end_all(mut left: BTreeMap<String, At>) -> bool {
    for round in 0..ROUNDS {
        if round > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        // Each engine once: a machine's sshd takes only so many logins at a time.
        let mut engines: Vec<(Endpoint, Option<Engine>)> = Vec::new();
        for at in left.values() {
            if engines.iter().all(|(endpoint, _)| *endpoint != at.engine) {
                engines.push((at.engine.clone(), connect(at).await));
            }
        }
        let of = |at: &At| engines.iter().find(|(endpoint, _)| *endpoint == at.engine)?.1.as_ref();
        let failed: BTreeMap<String, At> = stream::iter(left.clone())
            .map(async |(mark, at)| (!end_one(&mark, &at, of(&at)).await).then_some((mark, at)))
            .buffer_unordered(PARALLEL)
            .filter_map(async |failed| failed)
            .collect()
            .await;
        if round > 0 {
            left = failed;
        }
        if left.is_empty() {
            return true;
        }
    }
    false
}

async fn connect(at: &At) -> Option<Engine> {
    let its = DeclaredEngine {
        name: EngineName::default(),
        endpoint: at.engine.clone(),
        tags: Vec::new(),
        network: None,
    };
    Engine::connect(&[its], at.limit).await.ok()
}

async fn end_one(mark: &str, at: &At, engine: Option<&Engine>) -> bool {
    let Some(engine) = engine else { return false };
    let interrupt = Interrupt::manual().1;
    let ended = end_marked(engine, &at.sandbox, mark, &interrupt).await;
    // Last: what still runs would make it again.
    ended.is_ok() && within_limit(&interrupt, clear(engine, &at.sandbox, &at.leaves)).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sandbox: &str) -> At {
        At {
            engine: Endpoint::Unix("/run/engine".into()),
            limit: Duration::from_secs(3),
            sandbox: sandbox.to_owned(),
            leaves: vec!["/srv/.fleet-cp-0".to_owned()],
        }
    }

    fn said(words: &[Word]) -> Vec<u8> {
        words.iter().flat_map(|word| [serde_json::to_vec(word).unwrap(), b"\n".to_vec()].concat()).collect()
    }

    #[test]
    fn what_is_left_is_what_began_and_did_not_end() {
        let begins = |mark: &str, sandbox: &str| Word::Begins { mark: mark.to_owned(), at: at(sandbox) };
        let mut line = said(&[
            begins("a", "one"),
            begins("b", "two"),
            begins("c", "one"),
            Word::Ended { mark: "b".to_owned() },
        ]);
        let expected = BTreeMap::from([("a".to_owned(), at("one")), ("c".to_owned(), at("one"))]);
        assert_eq!(listen(&line[..]), expected);
        // Killed in the middle of a word.
        let whole = line.len();
        line.extend(said(&[Word::Ended { mark: "a".to_owned() }]));
        for cut in whole..line.len() - 2 {
            assert_eq!(listen(&line[..cut]), expected, "{cut}");
        }
        assert_eq!(listen(&line[..]).len(), 1);
    }

    #[test]
    fn nothing_told_is_nothing_left() {
        assert!(take_care(&b""[..]).unwrap());
        assert!(listen(&b"\nsomething else\n{}\n"[..]).is_empty());
    }
}
