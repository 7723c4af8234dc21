//! Bars, drawn as SVG within tables: each has its name and its numbers beside it, for eyes, ears and paper alike.

use maud::{Markup, html};

use crate::hub::HubName;
use crate::observed::Project;
use crate::plan::orphans::{Class, Total};

use super::figures::Figures;
use super::{Outside, in_words};

/// The most hubs of a project that have a bar of their own; the others share one.
const MOST_HUBS: usize = 40;

/// How a bar looks. The shapes differ and not only the colours, so that they can be told apart in grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    InUse,
    Released,
    Kept,
    CannotTell,
    Orphan,
}

impl Look {
    const ALL: [(Look, &'static str); 5] = [
        (Look::InUse, "in use by a hub"),
        (Look::Released, "released, kept for its user"),
        (Look::Kept, "kept for another reason"),
        (Look::CannotTell, "cannot tell"),
        (Look::Orphan, "orphan"),
    ];

    fn of(class: Class) -> Self {
        match class {
            Class::InUse => Look::InUse,
            Class::Released => Look::Released,
            Class::CannotTell => Look::CannotTell,
            Class::Orphan => Look::Orphan,
            Class::Attached
            | Class::Busy
            | Class::Young
            | Class::Snapshots
            | Class::Foreign
            | Class::Kept
            | Class::Error
            | Class::Unmanaged => Look::Kept,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Look::InUse => "in-use",
            Look::Released => "released",
            Look::Kept => "kept",
            Look::CannotTell => "unknown",
            Look::Orphan => "orphan",
        }
    }
}

/// What the bars refer to. It has no size, and must not be hidden, or nothing could refer to it.
pub(super) fn patterns() -> Markup {
    html! {
        svg class="patterns" width="0" height="0" aria-hidden="true" focusable="false" {
            defs {
                pattern id="hatched" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect class="ground" width="6" height="6" {}
                    rect class="line" width="3" height="6" {}
                }
                pattern id="dotted" width="6" height="6" patternUnits="userSpaceOnUse" {
                    rect class="ground" width="6" height="6" {}
                    circle class="dot" cx="3" cy="3" r="1.4" {}
                }
            }
        }
    }
}

/// A row of bars.
struct Row<'a> {
    name: Name<'a>,
    parts: Vec<(Look, u64)>,
    said: String,
}

enum Name<'a> {
    Hub(&'a HubName),
    Own(String),
}

/// `most` is what a bar over the whole width stands for.
fn row(row: &Row<'_>, most: u64) -> Markup {
    let mut from = 0;
    let placed: Vec<(Look, String, String)> = row
        .parts
        .iter()
        .filter(|(_, value)| *value > 0)
        .map(|(look, value)| {
            let placed = (*look, percent(from, most), percent(*value, most));
            from += value;
            placed
        })
        .collect();
    html! {
        tr {
            th scope="row" { @match &row.name { Name::Hub(hub) => (Outside(hub.as_str())), Name::Own(name) => (name) } }
            td class="bar" {
                svg width="100%" height="16" aria-hidden="true" focusable="false" {
                    @for (look, from, width) in &placed {
                        rect class=(look.class()) x=(from) width=(width) y="1" height="14" {}
                    }
                }
            }
            td class="said" { (row.said) }
        }
    }
}

/// In tenths of a percent, without the rounding of floating point numbers.
fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// How much each hub uses, and below them what no hub uses, class by class.
pub(super) fn by_hub(figures: &Figures<'_>) -> Markup {
    let mut projects: Vec<(&Project, Vec<Row<'_>>)> = Vec::new();
    for ((project, hub), classes) in &figures.by_hub {
        if projects.last().is_none_or(|(last, _)| last != project) {
            projects.push((project, Vec::new()));
        }
        let Some((_, rows)) = projects.last_mut() else { continue };
        match hub {
            Some(hub) => rows.push(Row {
                name: Name::Hub(hub),
                parts: classes.iter().map(|(class, total)| (Look::of(*class), total.gib)).collect(),
                said: in_words(sum(classes.values())),
            }),
            None => rows.extend(classes.iter().map(|(class, total)| Row {
                name: Name::Own(format!("no hub: {class}")),
                parts: vec![(Look::of(*class), total.gib)],
                said: in_words(*total),
            })),
        }
    }
    for (_, rows) in &mut projects {
        arrange(rows);
    }
    let most = projects.iter().flat_map(|(_, rows)| rows).map(length).max().unwrap_or_default();
    let looks: Vec<Look> = projects
        .iter()
        .flat_map(|(_, rows)| rows)
        .flat_map(|row| &row.parts)
        .map(|(look, _)| *look)
        .collect();
    html! {
        @if projects.is_empty() { p { "No volumes." } } @else {
            (legend(&looks))
            table class="bars" {
                caption { "GiB that each hub uses, and GiB that no hub uses by class, in each project" }
                @for (project, rows) in &projects {
                    tbody {
                        tr class="group" { th colspan="3" scope="rowgroup" { "project " (Outside(&project.name)) } }
                        @for one in rows { (row(one, most)) }
                    }
                }
            }
        }
    }
}

fn sum<'a>(totals: impl Iterator<Item = &'a Total>) -> Total {
    totals.fold(Total::default(), |sum, total| Total {
        volumes: sum.volumes + total.volumes,
        gib: sum.gib.saturating_add(total.gib),
    })
}

fn length(row: &Row<'_>) -> u64 {
    row.parts.iter().map(|(_, value)| *value).fold(0, u64::saturating_add)
}

/// Hubs by what they use, those that come after the most that are shown in one; then what no hub uses.
fn arrange(rows: &mut Vec<Row<'_>>) {
    let (mut hubs, others): (Vec<Row<'_>>, Vec<Row<'_>>) =
        std::mem::take(rows).into_iter().partition(|row| matches!(row.name, Name::Hub(_)));
    hubs.sort_by_key(|row| std::cmp::Reverse(length(row)));
    let rest: Vec<Row<'_>> = if hubs.len() > MOST_HUBS { hubs.split_off(MOST_HUBS) } else { Vec::new() };
    rows.extend(hubs);
    if !rest.is_empty() {
        let of = |look| rest.iter().flat_map(|row| &row.parts).filter(move |part| part.0 == look);
        let parts: Vec<(Look, u64)> = Look::ALL
            .map(|(look, _)| (look, of(look).map(|part| part.1).fold(0, u64::saturating_add)))
            .into();
        let gib = rest.iter().map(length).fold(0, u64::saturating_add);
        rows.push(Row {
            name: Name::Own(format!("{} more hubs", rest.len())),
            parts,
            said: super::size(gib),
        });
    }
    rows.extend(others);
}

fn legend(looks: &[Look]) -> Markup {
    html! {
        ul class="legend" {
            @for (look, name) in Look::ALL.iter().filter(|(look, _)| looks.contains(look)) {
                li {
                    svg width="22" height="14" aria-hidden="true" focusable="false" {
                        rect class=(look.class()) x="1" y="1" width="20" height="12" {}
                    }
                    (name)
                }
            }
        }
    }
}

/// How old the orphans are.
pub(super) fn ages(figures: &Figures<'_>) -> Markup {
    let most = figures.ages.iter().map(|(_, total)| total.volumes).max().unwrap_or_default();
    // What the others were, before anybody can tell, is no orphan.
    let known = figures.by_hub.values().any(|classes| classes.contains_key(&Class::Orphan));
    let look = if known { Look::Orphan } else { Look::CannotTell };
    html! {
        table class="bars" {
            caption { "Volumes by the time since they were made" }
            tbody {
                @for (name, total) in &figures.ages {
                    (row(&Row {
                        name: Name::Own((*name).to_owned()),
                        parts: vec![(look, total.volumes)],
                        said: if total.volumes == 0 { "none".to_owned() } else { in_words(*total) },
                    }, most))
                }
            }
        }
    }
}
