//! What `fleet cp` says.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{Done, Job};
use crate::commands::context::{print, print_json, tell};
use crate::commands::format::Format;
use crate::copy::{LeftOut, Trouble};
use crate::exit::{Exit, Failure};
use crate::report::{Progress, Table, bytes};
use crate::text::{clean, count, one_line};

/// What takes no longer is not worth a line that moves.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(200);

/// Who waits is told how far it is, at a terminal, when it takes long.
pub(super) struct Waiting {
    hubs: usize,
    done: AtomicUsize,
}

impl Waiting {
    pub(super) fn new(hubs: usize) -> Self {
        Self { hubs, done: AtomicUsize::new(0) }
    }

    pub(super) fn done_one(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) async fn during<T>(&self, copying: impl Future<Output = T>, moved: &AtomicU64) -> T {
        let showing = async {
            tokio::time::sleep(PATIENCE).await;
            let (progress, mut shown) = (Progress::new("copying", self.hubs), 0);
            loop {
                let done = self.done.load(Ordering::Relaxed);
                (shown..done).for_each(|_| progress.done_one());
                shown = done;
                progress.say(&format!("copying, {} so far, hubs", bytes(moved.load(Ordering::Relaxed))));
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::pin!(copying);
        tokio::select! {
            value = &mut copying => value,
            // It never ends by itself.
            () = showing => copying.await,
        }
    }
}

/// What would be copied where.
pub(super) fn dry_run(format: Format, jobs: &[Job<'_>]) -> Result<Exit, Failure> {
    let rows = jobs.iter().flat_map(|job| job.shown().into_iter().map(move |row| (job.hub, row)));
    match format {
        Format::Table => {
            let mut table = Table::new(&["HUB", "FROM", "TO"], None);
            for (hub, (from, to)) in rows {
                table.row([hub.name.as_str(), &clean(&from), &clean(&to)]);
            }
            print(&table.to_string())?;
        }
        Format::Json => {
            let each = rows.map(|(hub, (from, to))| json!({ "hub": hub.name, "from": from, "to": to }));
            print_json(&each.collect::<Vec<_>>())?;
        }
    }
    Ok(Exit::Done)
}

/// What came of it, and the status of all together.
pub(super) fn done(format: Format, all: &[Done<'_>]) -> Result<Exit, Failure> {
    let written = match format {
        Format::Table => table(all),
        Format::Json => print_json(&all.iter().map(entry).collect::<Vec<_>>()),
    };
    written?;
    let failed = all.iter().filter(|done| done.result.is_err());
    let interrupted = failed.clone().any(|done| done.result == Err(Trouble::Interrupted));
    Ok(match (failed.count(), interrupted) {
        (0, _) => Exit::Done,
        (_, true) => Exit::Interrupted,
        _ => Exit::Failed,
    })
}

fn table(all: &[Done<'_>]) -> Result<(), Failure> {
    for Done { hub, result, .. } in all {
        match result {
            Ok(copied) => {
                print(&format!("{}: {}, {}\n", hub.name, count(copied.files, "file"), bytes(copied.bytes)))?;
                tell(&left_out(&hub.name.to_string(), &copied.left_out));
            }
            Err(trouble) => tell(&failure(hub.name.as_str(), trouble)),
        }
    }
    let failed: Vec<&str> =
        all.iter().filter(|done| done.result.is_err()).map(|done| done.hub.name.as_str()).collect();
    if !failed.is_empty() && all.len() > 1 {
        tell(&format!("fleet: failed in {} of {} hubs: {}\n", failed.len(), all.len(), failed.join(", ")));
    }
    Ok(())
}

fn failure(hub: &str, trouble: &Trouble) -> String {
    match trouble {
        Trouble::Interrupted => format!("error: hub {hub}: interrupted; nothing was changed\n"),
        Trouble::Failed(told) => {
            let hint = told.hint.as_ref().map(|hint| format!("    {}\n", one_line(hint))).unwrap_or_default();
            format!("error: hub {hub}: {}\n{hint}", one_line(&told.reason))
        }
    }
}

fn left_out(hub: &str, left: &LeftOut) -> String {
    let more = left.count - left.told.len() as u64;
    let more = (more > 0).then(|| format!("{more} more"));
    let all = left.told.iter().map(|name| clean(name).into_owned()).chain(more);
    all.fold(String::new(), |text, what| text + &format!("{hub}: left out {what}\n"))
}

fn entry(done: &Done<'_>) -> serde_json::Value {
    let (copied, error, hint) = match &done.result {
        Ok(copied) => (Some(copied), None, None),
        Err(Trouble::Interrupted) => (None, Some("interrupted".to_owned()), None),
        Err(Trouble::Failed(told)) => (None, Some(one_line(&told.reason)), told.hint.clone()),
    };
    json!({
        "hub": done.hub.name,
        "copied": copied.is_some(),
        "error": error,
        "hint": hint,
        "files": copied.map(|copied| copied.files),
        "bytes": copied.map(|copied| copied.bytes),
        "left_out": copied.map(|copied| &copied.left_out.told),
        "left_out_count": copied.map(|copied| copied.left_out.count),
        "seconds": done.took.as_secs_f64(),
    })
}
