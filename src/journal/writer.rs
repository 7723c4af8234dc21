//! Appending to the journal. Many who write at once share one flush to the disk.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::apply::delete::{Deleting, Outcome, Record};
use crate::clock;
use crate::exit::{Exit, Failure, chain};
use crate::files::{self, lines};
use crate::hub::Fleet;
use crate::plan::orphans::{Deletions, Planned};

use super::{Begin, DeletingEntry, End, Entry, History, Line, OverEntry, PlannedVolume, Who, path_of};

/// Only deletions hold the journal for long; whoever just looks whether one is under way holds it for an instant.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// A disk that takes longer than this for a line is as good as none: a network file system whose server is gone, say.
const DISK: Duration = Duration::from_secs(30);

/// The right to write a fleet's journal: one process has it at a time, and the kernel takes it back however that ends.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Absent once it is being dropped.
    lines: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    /// The disk did not answer in time. Whether what was sent to it will ever be there is not known.
    stuck: AtomicBool,
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The writer ends when nobody is left who could send it anything, and with it the lock.
        self.lines = None;
        if let Some(writer) = self.writer.take()
            && !self.stuck.load(Ordering::Relaxed)
        {
            // A panic in it has been told where it happened.
            let _ = writer.join();
        }
    }
}

/// A line to be written, and whom to tell once it is on the disk.
pub(super) struct Job {
    line: Vec<u8>,
    done: oneshot::Sender<Result<(), String>>,
}

impl Journal {
    /// Opens it, and makes it where there is none. Whoever is second is told who holds it.
    pub async fn open(fleet: &Fleet) -> Result<Self, Failure> {
        let path = path_of(fleet);
        let file = open(&path).map_err(|error| cannot_write(&error))?;
        let begin = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(TryLockError::WouldBlock) => return Err(held(&path)),
                Err(TryLockError::Error(source)) => {
                    return Err(cannot_write(&files::Error::new("lock", &path, source)));
                }
            }
        }
        end_half_a_line(&file).map_err(|source| cannot_write(&files::Error::new("write", &path, source)))?;
        let (lines, jobs) = mpsc::channel();
        let told = path.clone();
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(&file, &told, &jobs))
            .map_err(|source| cannot_write(&files::Error::new("write", &path, source)))?;
        Ok(Self { path, lines: Some(lines), writer: Some(writer), stuck: AtomicBool::new(false) })
    }

    #[cfg(test)]
    pub(super) fn with(path: PathBuf, lines: mpsc::Sender<Job>) -> Self {
        Self { path, lines: Some(lines), writer: None, stuck: AtomicBool::new(false) }
    }

    /// Everything that it says. Nobody else writes to it as long as this is open.
    pub fn history(&self) -> Result<History, Failure> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(History::parse(&bytes)),
            Err(source) => Err(Failure::failed(&files::Error::new("read", &self.path, source))),
        }
    }

    /// Begins a run: from here on it is known what was planned, and that it was confirmed.
    pub async fn begin(
        &self,
        fleet: &Fleet,
        deletions: &Deletions,
        confirmed: &str,
        resumes: Vec<String>,
    ) -> Result<RunRecord<'_>, Failure> {
        let by = who();
        let at = clock::now();
        let run = RunRecord { journal: self, id: new_id(at, by.process) };
        let begin = Begin {
            fleet: fleet.name.clone(),
            by,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            confirmed: confirmed.to_owned(),
            resumes,
            hubs: deletions.hubs().iter().cloned().collect(),
            volumes: PlannedVolume::all(deletions),
        };
        run.append(Entry::Begin(begin)).await.map_err(cannot_write_down)?;
        Ok(run)
    }

    /// A run that another process began and did not end.
    pub fn go_on(&self, run: &str) -> RunRecord<'_> {
        RunRecord { journal: self, id: run.to_owned() }
    }

    /// Runs of others have ended: settled with nothing left to do, or in the hands of another one.
    pub async fn end_all(&self, runs: &[String], resumed_by: Option<&str>) -> Result<(), Failure> {
        for run in runs {
            let end = End { exit: None, resumed_by: resumed_by.map(str::to_owned) };
            self.go_on(run).append(Entry::End(end)).await.map_err(cannot_write_down)?;
        }
        Ok(())
    }

    /// Ready once the line is on the disk.
    async fn append(&self, line: &Line) -> Result<(), String> {
        let gone = || format!("cannot write {}: its writer has ended", self.path.display());
        let mut text = serde_json::to_vec(line).map_err(|error| chain(&error))?;
        text.push(b'\n');
        let (done, told) = oneshot::channel();
        let lines = self.lines.as_ref().ok_or_else(gone)?;
        lines.send(Job { line: text, done }).map_err(|_| gone())?;
        let limit = if self.stuck.load(Ordering::Relaxed) { Duration::ZERO } else { DISK };
        if let Ok(told) = tokio::time::timeout(limit, told).await {
            return told.map_err(|_| gone())?;
        }
        self.stuck.store(true, Ordering::Relaxed);
        let seconds = DISK.as_secs();
        Err(format!("cannot write {}: the disk has not answered for {seconds} s", self.path.display()))
    }
}

/// One run in the journal.
#[derive(Debug)]
pub struct RunRecord<'j> {
    journal: &'j Journal,
    id: String,
}

impl RunRecord<'_> {
    /// The run's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    async fn append(&self, entry: Entry) -> Result<(), String> {
        self.journal.append(&Line { run: self.id.clone(), at: clock::now(), entry }).await
    }

    /// The run has ended.
    pub async fn end(&self, exit: Exit) -> Result<(), Failure> {
        self.append(Entry::End(End::with(exit))).await.map_err(cannot_write_down)
    }

    /// What became of a volume, found out later.
    pub async fn settle(&self, id: &str, outcome: &Outcome) -> Result<(), Failure> {
        let over = OverEntry { id: id.to_owned(), settled: true, outcome: outcome.clone() };
        self.append(Entry::Over(over)).await.map_err(cannot_write_down)
    }
}

impl Record for RunRecord<'_> {
    async fn deleting(&self, about: &Deleting<'_>) -> Result<(), String> {
        let Deleting { planned, volume, evidence } = about;
        let (project, volume) = (planned.project().clone(), (*volume).clone());
        self.append(Entry::Deleting(DeletingEntry { project, volume, evidence: evidence.clone() })).await
    }

    async fn over(&self, planned: &Planned, outcome: &Outcome) -> Result<(), String> {
        let (id, outcome) = (planned.volume().id.clone(), outcome.clone());
        self.append(Entry::Over(OverEntry { id, settled: false, outcome })).await
    }
}

/// Whether somebody else is writing a fleet's journal right now.
pub fn is_under_way(fleet: &Fleet) -> bool {
    let Ok(file) = File::open(path_of(fleet)) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Writes what comes, all that has come in one go, until nobody is left who could send anything. After an error nothing is
/// written any more: half a line may stand at the end.
pub(super) fn write_all(file: &File, path: &Path, jobs: &mpsc::Receiver<Job>) {
    let mut result = Ok(());
    while let Ok(first) = jobs.recv() {
        let batch: Vec<Job> = std::iter::once(first).chain(jobs.try_iter()).collect();
        if result.is_ok() {
            let bytes = batch.iter().map(|job| job.line.as_slice()).collect::<Vec<_>>().concat();
            result = lines::append(file, &bytes)
                .and_then(|()| file.sync_data())
                .map_err(|source| chain(&files::Error::new("write", path, source)));
        }
        for job in batch {
            // Whoever does not wait any more has been stopped.
            let _ = job.done.send(result.clone());
        }
    }
}

fn open(path: &Path) -> Result<File, files::Error> {
    let is_new = !path.exists();
    let file = lines::open(path)?;
    if is_new {
        // Without this the file itself can be lost in a power cut.
        let synced = File::open(files::parent(path)).and_then(|directory| directory.sync_all());
        synced.map_err(|source| files::Error::new("write", path, source))?;
    }
    Ok(file)
}

/// A line that a power cut left half written is ended before anybody reads on: nobody is at it any more.
fn end_half_a_line(file: &File) -> io::Result<()> {
    if lines::ends_in_the_middle(file)? {
        lines::append(file, b"")?;
        file.sync_data()?;
    }
    Ok(())
}

/// An id that no other run has. One process at a time has the journal, and it begins one run a second at most; tests
/// begin more.
fn new_id(at: Timestamp, process: u32) -> String {
    static BEGUN: AtomicU32 = AtomicU32::new(0);
    let id = format!("{}-{process}", at.strftime("%Y%m%dT%H%M%SZ"));
    match BEGUN.fetch_add(1, Ordering::Relaxed) {
        0 => id,
        earlier => format!("{id}-{earlier}"),
    }
}

/// Who runs this process.
pub(crate) fn who() -> Who {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let uid = rustix::process::getuid().as_raw();
    // Without sudo's own word, everything was done by root.
    let user = match std::env::var("SUDO_USER") {
        Ok(sudo) if uid == 0 => format!("root, for {sudo}"),
        _ if user.is_empty() => format!("uid {uid}"),
        _ => user,
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Who { user, host: host.trim().to_owned(), process: std::process::id() }
}

fn held(path: &Path) -> Failure {
    let bytes = std::fs::read(path).unwrap_or_default();
    let history = History::parse(&bytes);
    let holder = history.unended().last().and_then(|run| {
        let by = &run.begin.as_ref()?.by;
        Some(format!(
            "{} on {} (process {}) since {:.0}, run {}",
            by.user, by.host, by.process, run.since, run.id
        ))
    });
    Failure {
        exit: Exit::Failed,
        problems: vec![format!(
            "volumes of this fleet are being deleted already, by {}",
            holder.unwrap_or_else(|| "another process".to_owned())
        )],
        hint: Some("wait until it is done; nothing is deleted here".to_owned()),
    }
}

fn cannot_write(error: &files::Error) -> Failure {
    cannot_write_down(chain(error))
}

fn cannot_write_down(reason: String) -> Failure {
    Failure {
        exit: Exit::Failed,
        problems: vec![reason],
        hint: Some(
            "every deletion is written down before it is done, so nothing more is deleted; make room there, or make it yours, \
             and run it again"
                .to_owned(),
        ),
    }
}
