//! The report as one page, to look through and to share: no script, nothing that is loaded, everything in one file.
//!
//! Names come from whoever can make a volume or a claim, so a page is a way into the browser of whoever reads it. Every
//! text is escaped by the macro that writes the page, and none stands in an attribute; and the page forbids scripts and
//! requests, should that ever fail.

mod bars;
mod figures;
mod tables;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use crate::plan::orphans::{Class, Judged, OrphanPlan, Total};
use crate::text::{clean, count};

use self::figures::Figures;

const STYLE: &str = include_str!("page/style.css");

/// Inline styles alone: no script, no image, no font, no form, no request.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Text from outside.
struct Outside<'a>(&'a str);

impl Render for Outside<'_> {
    fn render_to(&self, out: &mut String) {
        clean(self.0).as_ref().render_to(out);
    }
}

/// The page about a plan of a fleet.
pub fn page(plan: &OrphanPlan<'_>, fleet: &str) -> String {
    let figures = Figures::of(plan);
    let title = format!("Orphaned volumes of {fleet}, {}", plan.seen_at().strftime("%F"));
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (Outside(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (bars::patterns())
                header {
                    h1 { "Orphaned volumes" }
                    p class="of" { "fleet " strong { (Outside(fleet)) } ", seen at " (time(plan.seen_at())) }
                    (verdict(plan))
                    (key_figures(plan, &figures))
                }
                main {
                    (body(plan, &figures))
                }
                footer {
                    p { "Written by fleet " (env!("CARGO_PKG_VERSION")) ". This page deletes nothing: what is deleted is what is an "
                        "orphan in a fresh scan. There are users' names in it." }
                }
            }
        }
    };
    markup.into_string()
}

fn body(plan: &OrphanPlan<'_>, figures: &Figures<'_>) -> Markup {
    html! {
        section { h2 { "GiB by class and hub" } (bars::by_hub(figures)) }
        section { h2 { "Totals" } (tables::totals(plan)) }
        @if figures.candidates.volumes > 0 {
            section { h2 { (candidates(plan, "Ages of the orphans", "Ages of what may be orphaned")) } (bars::ages(figures)) }
            section { h2 { (candidates(plan, "Users whose volumes are orphans", "Users whose volumes may be orphans")) }
                (tables::users(figures)) }
        }
        section {
            h2 { (candidates(plan, "Orphans", "What may be orphaned")) }
            (tables::candidates(plan))
        }
        section { h2 { "Lost" } (tables::lost(plan)) }
        section { h2 { "All other volumes" } (tables::others(plan)) }
        section { h2 { "Who was asked" } (tables::asked(plan, figures)) }
    }
}

/// In an incomplete view nothing is called an orphan.
fn candidates<'t>(plan: &OrphanPlan<'_>, complete: &'t str, incomplete: &'t str) -> &'t str {
    if plan.is_complete() { complete } else { incomplete }
}

/// The class of what is, or may be, orphaned.
fn candidate_class(plan: &OrphanPlan<'_>) -> Class {
    if plan.is_complete() { Class::Orphan } else { Class::CannotTell }
}

fn verdict(plan: &OrphanPlan<'_>) -> Markup {
    let (hubs, projects) = (plan.hubs().count() as u64, plan.projects().count() as u64);
    if plan.is_complete() {
        return html! {
            div class="verdict complete" {
                p { strong { "Complete. " } (count(hubs, "hub")) " and " (count(projects, "project")) " answered in full." }
            }
        };
    }
    html! {
        div class="verdict cannot-tell" role="alert" {
            p { strong { "Cannot tell which volumes are orphans. " } "Not everybody answered, so nothing is called an orphan." }
            ul {
                @for unseen in plan.unseen() {
                    li {
                        strong { (Outside(&unseen.subject.to_string())) } ": " (Outside(&unseen.reason))
                        @if let Some(hint) = &unseen.hint { br; code { (Outside(hint)) } }
                    }
                }
            }
        }
    }
}

fn key_figures(plan: &OrphanPlan<'_>, figures: &Figures<'_>) -> Markup {
    let orphans = candidates(plan, "orphans", "may be orphans");
    html! {
        dl class="figures" {
            div { dt { (orphans) } dd { (thousands(figures.candidates.volumes)) small { (size(figures.candidates.gib)) } } }
            div { dt { "volumes in all" } dd { (thousands(figures.all.volumes)) small { (size(figures.all.gib)) } } }
            div { dt { "users concerned" } dd { (thousands(figures.users.len() as u64)) } }
            div { dt { "lost" } dd {
                @if plan.is_complete() { (thousands(plan.lost().len() as u64)) } @else { "?" }
                small { "PVs without a volume" }
            } }
        }
    }
}

/// To the minute; all times are UTC.
fn time(at: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%FT%TZ").to_string()) { (at.strftime("%F %H:%M UTC").to_string()) } }
}

/// `12,345`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn size(gib: u64) -> String {
    format!("{} GiB", thousands(gib))
}

fn in_words(total: Total) -> String {
    let volumes = if total.volumes == 1 { "volume" } else { "volumes" };
    format!("{} {volumes}, {}", thousands(total.volumes), size(total.gib))
}

fn user<'v>(judged: &Judged<'v>) -> Option<&'v str> {
    judged.made_for.user.filter(|user| !user.is_empty())
}
