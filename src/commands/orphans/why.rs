//! `fleet orphans --why`: one volume explained.

use super::{Args, Format, shown};
use crate::commands::context::tell;
use crate::exit::{Exit, Failure};
use crate::hub::Fleet;
use crate::observed::VolumeView;
use crate::plan::orphans::{Explained, why};
use crate::report::orphans as report;
use crate::text::nearest;

/// Explains the volume of an id, or all volumes of a name.
pub(super) fn run(args: &Args, wanted: &str, fleet: &Fleet, view: &VolumeView) -> Result<Exit, Failure> {
    let why = why(view, &fleet.orphans, wanted);
    if why.volumes.is_empty() && why.is_complete() {
        return Err(unknown(wanted, view));
    }
    match args.format {
        Format::Json => shown(|out| report::why_json(out, &why))?,
        Format::Table | Format::Csv => shown(|out| report::why(out, &why))?,
    }
    if why.volumes.is_empty() {
        tell(&format!("cannot tell whether there is a volume {wanted:?}, because not everybody answered\n"));
    }
    let tells = !why.volumes.is_empty() && !why.volumes.iter().any(Explained::cannot_tell);
    Ok(if tells { Exit::Done } else { Exit::CannotTell })
}

fn unknown(wanted: &str, view: &VolumeView) -> Failure {
    let projects: Vec<&str> = view.projects.iter().map(|half| half.project.name.as_str()).collect();
    let volumes = view.projects.iter().flat_map(|half| &half.volumes);
    let words = volumes.flat_map(|volume| [volume.id.as_str(), volume.name.as_str()]);
    let failure = Failure {
        exit: Exit::Failed,
        problems: vec![format!(
            "no project ({}) has a volume of the id or the name {wanted:?}",
            projects.join(", ")
        )],
        hint: None,
    };
    match nearest(wanted, words) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure,
    }
}
