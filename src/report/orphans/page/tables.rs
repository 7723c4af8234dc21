//! The tables of the page.

use maud::{Markup, html};

use crate::observed::Project;
use crate::plan::orphans::{Class, Judged, OrphanPlan, Total};
use crate::report::age;

use super::super::{claim, evidence};
use super::figures::Figures;
use super::{Outside, candidate_class, candidates as by_view, in_words, size, thousands, time, user};

/// The most volumes of a class that are shown, orphans aside: those are all there, because each has to be looked at. A
/// browser takes some ten thousand rows; whoever wants all has `--format csv`.
const MOST_OF_A_CLASS: usize = 250;

/// The most users, lost PVs and hubs that are shown.
const MOST: usize = 1000;

/// A wide table that scrolls by itself on a narrow screen, by keyboard too.
fn scrolling(name: &str, table: &Markup) -> Markup {
    html! { div class="scrolling" tabindex="0" role="region" aria-label=(name) { (table) } }
}

fn left_out(all: usize, shown: usize, where_else: &str) -> Markup {
    html! {
        @if all > shown {
            p class="left-out" { (thousands((all - shown) as u64)) " more are not shown here: " code { (where_else) } " has all." }
        }
    }
}

/// How much of each class each project has.
pub(super) fn totals(plan: &OrphanPlan<'_>) -> Markup {
    let totals = plan.totals();
    let sum = |of: &dyn Fn(&Project, Class) -> bool| {
        totals.iter().filter(|((project, class), _)| of(project, *class)).fold(
            Total::default(),
            |sum, (_, total)| Total {
                volumes: sum.volumes + total.volumes,
                gib: sum.gib.saturating_add(total.gib),
            },
        )
    };
    let line = |class: Option<Class>, total: Total| {
        let name = class.map_or("all", Class::as_str);
        html! {
            tr class=(if class.is_none() { "sum" } else { "" }) {
                th scope="row" { (name) }
                td class="number" { (thousands(total.volumes)) }
                td class="number" { (thousands(total.gib)) }
            }
        }
    };
    html! {
        table class="totals" {
            caption { "Volumes and GiB of each class in each project" }
            thead { tr { th scope="col" { "Class" } th scope="col" class="number" { "Volumes" } th scope="col" class="number" { "GiB" } } }
            @for project in plan.projects() {
                tbody {
                    tr class="group" { th colspan="3" scope="rowgroup" { "project " (Outside(&project.name)) } }
                    @for class in Class::ALL {
                        @if let Some(total) = totals.get(&(project, class)) { (line(Some(class), *total)) }
                    }
                    (line(None, sum(&|of, _| of == project)))
                }
            }
            @if plan.projects().count() > 1 {
                tbody {
                    tr class="group" { th colspan="3" scope="rowgroup" { "all projects" } }
                    @for class in Class::ALL {
                        @let total = sum(&|_, of| of == class);
                        @if total.volumes > 0 { (line(Some(class), total)) }
                    }
                    (line(None, sum(&|_, _| true)))
                }
            }
        }
    }
}

/// Whose volumes are orphans.
pub(super) fn users(figures: &Figures<'_>) -> Markup {
    html! {
        @if figures.users.is_empty() {
            p { "No volume says whom it was made for." }
        } @else {
            table class="users" {
                thead { tr {
                    th scope="col" { "User" }
                    th scope="col" class="number" { "Volumes" }
                    th scope="col" class="number" { "GiB" }
                    th scope="col" { "Oldest made" }
                } }
                tbody {
                    @for (user, of) in figures.users.iter().take(MOST) {
                        tr {
                            th scope="row" { (Outside(user)) }
                            td class="number" { (thousands(of.total.volumes)) }
                            td class="number" { (thousands(of.total.gib)) }
                            td { (of.oldest.map_or_else(|| "-".to_owned(), |at| at.strftime("%F").to_string())) }
                        }
                    }
                }
            }
            (left_out(figures.users.len(), MOST, "fleet orphans --format csv"))
            @if figures.of_nobody.volumes > 0 {
                p { "Made for nobody that is known: " (in_words(figures.of_nobody)) "." }
            }
        }
    }
}

/// Every orphan, in full.
pub(super) fn candidates(plan: &OrphanPlan<'_>) -> Markup {
    let volumes: Vec<&Judged<'_>> = plan.of(candidate_class(plan)).collect();
    html! {
        @if volumes.is_empty() {
            p { (by_view(plan, "No orphans.", "No volume that may be orphaned.")) }
        } @else {
            (scrolling(by_view(plan, "Orphans", "What may be orphaned"), &volume_table(plan, &volumes, false)))
        }
    }
}

/// Every other class, folded.
pub(super) fn others(plan: &OrphanPlan<'_>) -> Markup {
    html! {
        @for class in Class::ALL.into_iter().filter(|class| *class != candidate_class(plan)) {
            @let volumes: Vec<&Judged<'_>> = plan.of(class).collect();
            @if !volumes.is_empty() {
                details {
                    summary { strong { (class.as_str()) } " " span { (in_words(total(&volumes))) } }
                    @let shown = &volumes[..volumes.len().min(MOST_OF_A_CLASS)];
                    (scrolling(class.as_str(), &volume_table(plan, shown, true)))
                    (left_out(volumes.len(), shown.len(), "fleet orphans --format csv"))
                }
            }
        }
    }
}

fn total(volumes: &[&Judged<'_>]) -> Total {
    volumes.iter().fold(Total::default(), |sum, judged| Total {
        volumes: sum.volumes + 1,
        gib: sum.gib.saturating_add(judged.volume.size_gib),
    })
}

fn volume_table(plan: &OrphanPlan<'_>, volumes: &[&Judged<'_>], reasons: bool) -> Markup {
    html! {
        table class="volumes" {
            thead { tr {
                th scope="col" { "Project" }
                th scope="col" { "Volume: id, name" }
                th scope="col" class="number" { "GiB" }
                th scope="col" { "Created" }
                th scope="col" { "Claim" }
                th scope="col" { "User" }
                @if reasons { th scope="col" { "Reason" } }
                th scope="col" { "Evidence" }
            } }
            tbody { @for judged in volumes { (volume_row(plan, judged, reasons)) } }
        }
    }
}

fn volume_row(plan: &OrphanPlan<'_>, judged: &Judged<'_>, reasons: bool) -> Markup {
    let volume = judged.volume;
    html! {
        tr {
            td { (Outside(&judged.project.name)) }
            th scope="row" class="volume" {
                code { (Outside(&volume.id)) }
                br;
                @if volume.name.is_empty() { span class="none" { "without a name" } } @else { code class="name" { (Outside(&volume.name)) } }
            }
            td class="number" { (thousands(volume.size_gib)) }
            td class="created" {
                @match volume.created_at {
                    Some(at) => { (at.strftime("%F").to_string()) br; span class="none" { (age(Some(at), plan.seen_at())) } }
                    None => "not known",
                }
            }
            td { (or_dash(judged.made_for.to_text().as_deref())) }
            td { (or_dash(user(judged))) }
            @if reasons { td class="reason" { (Outside(&judged.verdict.reason)) } }
            td class="evidence" { (Outside(&evidence(judged))) }
        }
    }
}

fn or_dash(text: Option<&str>) -> Markup {
    html! {
        @match text.filter(|text| !text.is_empty()) {
            Some(text) => (Outside(text)),
            None => { span class="none" { "-" } }
        }
    }
}

/// PVs without a volume.
pub(super) fn lost(plan: &OrphanPlan<'_>) -> Markup {
    if !plan.is_complete() {
        return html! { p { "Nobody can tell as long as not everybody answered." } };
    }
    if plan.lost().is_empty() {
        return html! { p { "Every PV's volume is there." } };
    }
    let table = html! {
        table {
            thead { tr {
                @for heading in ["Hub", "PV", "Phase", "Claim", "Volume"] { th scope="col" { (heading) } }
            } }
            tbody {
                @for lost in plan.lost().iter().take(MOST) {
                    tr {
                        td { (Outside(lost.hub.as_str())) }
                        th scope="row" { code { (Outside(lost.name)) } }
                        td { (or_dash(Some(lost.phase))) }
                        td { (or_dash(lost.claim.map(claim).as_deref())) }
                        td { code { (Outside(&lost.volume_ids.join(" "))) } }
                    }
                }
            }
        }
    };
    html! {
        p { "The volumes of these PVs are not in Cinder any more. Where a claim is bound, its user's next login fails." }
        (scrolling("Lost", &table))
        (left_out(plan.lost().len(), MOST, "fleet orphans --format json"))
    }
}

/// What the page rests on.
pub(super) fn asked(plan: &OrphanPlan<'_>, figures: &Figures<'_>) -> Markup {
    let projects = html! {
        table {
            thead { tr { @for heading in ["Project", "Id", "Region", "Keystone"] { th scope="col" { (heading) } } } }
            tbody {
                @for project in plan.projects() {
                    tr {
                        th scope="row" { (Outside(&project.name)) }
                        td { code { (Outside(&project.key.id)) } }
                        td { (or_dash(Some(&project.key.region))) }
                        td { code { (Outside(&project.key.auth_url)) } }
                    }
                }
            }
        }
    };
    html! {
        p { "All volumes of these projects, at " (time(plan.seen_at())) ":" }
        (scrolling("Projects", &projects))
        p { "All PVs of these hubs, with how many volumes each uses:" }
        ul class="hubs" {
            @for hub in plan.hubs().take(MOST) {
                li { (Outside(hub.as_str())) " " span { (thousands(figures.volumes_of.get(hub).copied().unwrap_or_default())) } }
            }
        }
        (left_out(plan.hubs().count(), MOST, "fleet list"))
        p { "In all: " (thousands(figures.all.volumes)) " volumes, " (size(figures.all.gib)) "." }
    }
}
