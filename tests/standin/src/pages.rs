//! Lists in pages, as Cinder and Nova give them, and what can be wrong with a page.

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::request::{Answer, Asked};
use crate::table::Table;

/// A list that is asked for.
pub(crate) struct List<'a> {
    /// What the answer calls it.
    pub(crate) key: &'static str,
    /// The service's own address.
    pub(crate) url: String,
    /// The most entries of a page.
    pub(crate) largest: usize,
    pub(crate) asked: &'a Asked,
    pub(crate) fault: Option<&'a Fault>,
}

/// A page of it. A page that is full has a link to the next one, whether there is anything in it or not.
pub(crate) fn page<T>(
    list: &List<'_>,
    table: &Table<T>,
    show: impl Fn(&T) -> Value,
    no_marker: impl Fn(&str) -> Answer,
) -> Answer {
    let limit = match list.asked.query("limit").map(|limit| limit.parse::<usize>()) {
        None => list.largest,
        Some(Ok(limit)) => limit.min(list.largest),
        Some(Err(_)) => return crate::cinder::error(400, "limit param must be an integer"),
    };
    let marker = list.asked.query("marker");
    let from = if list.fault == Some(&Fault::RepeatPage) { None } else { marker.as_deref() };
    let Some(rows) = table.page(from, limit) else { return no_marker(from.unwrap_or_default()) };
    let end = rows.last().map(|(id, _)| (*id).to_owned());
    let mut next = end.filter(|_| rows.len() == limit);
    let mut entries: Vec<Value> = rows.into_iter().map(|(_, row)| show(row)).collect();
    match list.fault {
        // A link back to here. A page without a marker leads to the one after it, whose link leads to itself.
        Some(Fault::LoopLink) => next = marker.clone().or(next),
        Some(Fault::EmptyPage) => {
            next = next
                .or_else(|| marker.clone())
                .or_else(|| Some("00000000-0000-4000-8000-000000000000".to_owned()));
            entries.clear();
        }
        Some(Fault::WithoutField(pointer)) => {
            if let Some(first) = entries.first_mut() {
                without(first, pointer);
            }
        }
        _ => {}
    }
    let mut body = json!({ list.key: entries });
    if let Some(next) = next {
        let href = format!("{}{}?limit={limit}&marker={next}", list.url, list.asked.path());
        body[format!("{}_links", list.key)] = json!([{ "rel": "next", "href": href }]);
    }
    Answer::json(200, &body)
}

/// Takes a field away: `/spec/csi/volumeHandle`.
pub(crate) fn without(entry: &mut Value, pointer: &str) {
    let Some((parent, field)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(parent)) = entry.pointer_mut(parent) {
        parent.remove(field);
    }
}
