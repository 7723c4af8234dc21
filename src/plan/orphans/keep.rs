//! Asking to keep a volume, and taking that back: what becomes of its metadata.

use jiff::Timestamp;

use crate::observed::{Metadata, Project, ProjectVolumes, Volume};

use super::marks::{self, KEEP, KEEP_REASON, KEEP_UNTIL};

/// The most characters that Cinder takes for a value.
const VALUE_LIMIT: usize = 255;

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish<'w> {
    /// Until a date or a time; for good without one.
    pub until: Option<&'w str>,
    /// Why.
    pub reason: Option<&'w str>,
}

/// What has to become of a volume's metadata. First what is set, and then what is taken away, so that a volume that is
/// kept is kept all the time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Keys with their values.
    pub set: Metadata,
    /// Keys.
    pub remove: Vec<String>,
}

impl Wish<'_> {
    /// What has to be done to a volume with this metadata. The error says what is wrong with the wish.
    pub fn change(&self, metadata: &Metadata, now: Timestamp) -> Result<Change, String> {
        let mut set = Metadata::new();
        match self.until.map(str::trim) {
            None => set.insert(KEEP.to_owned(), "true".to_owned()),
            Some(until) => match marks::end(until) {
                None => return Err(format!("{until:?} is not a date; write it like \"2027-06-30\"")),
                Some(end) if end < now => return Err(format!("{until} is over already")),
                Some(_) => set.insert(KEEP_UNTIL.to_owned(), until.to_owned()),
            },
        };
        if let Some(reason) = self.reason {
            if reason.chars().count() > VALUE_LIMIT || reason.chars().any(char::is_control) {
                return Err(format!("the reason must be one line of at most {VALUE_LIMIT} characters"));
            }
            set.insert(KEEP_REASON.to_owned(), reason.to_owned());
        }
        // The last wish counts: what an earlier one left would go on keeping it, or say why in its place.
        let stays = |key: &String| set.contains_key(key) || (self.reason.is_none() && is_reason(key));
        let remove = marks::keep_keys(metadata).into_iter().filter(|key| !stays(key)).collect();
        Ok(Change { set, remove })
    }
}

fn is_reason(key: &str) -> bool {
    key.trim().eq_ignore_ascii_case(KEEP_REASON)
}

/// What has to be done so that nobody asks to keep a volume any more.
pub fn take_back(metadata: &Metadata) -> Change {
    Change { set: Metadata::new(), remove: marks::keep_keys(metadata) }
}

/// What a volume's metadata says of keeping it, in one line; `None` where it says nothing.
pub fn wishes(metadata: &Metadata) -> Option<String> {
    let said = marks::keep_keys(metadata);
    let said = said.iter().map(|key| format!("{}={}", key.trim(), metadata[key].trim()));
    Some(said.collect::<Vec<_>>().join(", ")).filter(|said| !said.is_empty())
}

/// Whether a volume that was just asked to be kept is still there to be kept. The error says what it is instead.
pub fn stays(now: Option<&Volume>) -> Result<(), String> {
    match now {
        None => Err("it is gone".to_owned()),
        Some(volume) if volume.status.contains("deleting") => {
            Err(format!("it is being deleted already, its status is {:?}", volume.status))
        }
        Some(_) => Ok(()),
    }
}

/// The volume that somebody means: one with this id, or the only one with this name. The error is all with the name.
pub fn meant<'v>(
    projects: &'v [ProjectVolumes],
    wanted: &str,
) -> Result<(&'v Project, &'v Volume), Vec<(&'v Project, &'v Volume)>> {
    let all = || projects.iter().flat_map(|half| half.volumes.iter().map(|volume| (&half.project, volume)));
    if let Some(found) = all().find(|(_, volume)| volume.id == wanted) {
        return Ok(found);
    }
    let mut named: Vec<_> = all().filter(|(_, volume)| volume.name == wanted && !wanted.is_empty()).collect();
    // Two openrc files may lead to one project under two URLs.
    named.sort_by_key(|(project, volume)| (&volume.id, *project));
    named.dedup_by_key(|(_, volume)| &volume.id);
    match named[..] {
        [one] => Ok(one),
        _ => Err(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::orphans::samples::{now, project, rules, view, volume, volume_id, with_metadata};
    use crate::plan::orphans::{Class, plan};

    fn metadata(pairs: &[(&str, &str)]) -> Metadata {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn applied(change: &Change, before: &Metadata) -> Metadata {
        let mut after = before.clone();
        after.extend(change.set.clone());
        after.retain(|key, _| !change.remove.contains(key));
        after
    }

    /// The class and the reason of a volume with this metadata.
    fn judged(metadata: &Metadata) -> (Class, String) {
        let view = view(vec![Volume { metadata: metadata.clone(), ..volume(1) }], vec![vec![]]);
        let verdict = plan(&view, &rules()).volumes()[0].verdict.clone();
        (verdict.class, verdict.reason)
    }

    #[test]
    fn a_wish_keeps_the_volume_and_says_why_in_the_report() {
        let before = metadata(&[("note", "x")]);
        for (until, reason, told) in [
            (None, None, "somebody asked to keep it"),
            (None, Some("thesis of \u{202e}Anna"), "somebody asked to keep it: thesis of \u{fffd}Anna"),
            (Some("2026-03-05"), None, "somebody asked to keep it until 2026-03-05"),
            (Some("2026-03-05"), Some("exam"), "somebody asked to keep it until 2026-03-05: exam"),
            (Some("2026-03-01T13:00:00Z"), None, "somebody asked to keep it until 2026-03-01T13:00:00Z"),
        ] {
            let after = applied(&Wish { until, reason }.change(&before, now()).unwrap(), &before);
            assert_eq!(judged(&after), (Class::Kept, told.to_owned()));
            assert_eq!(after.get("note").unwrap(), "x");
            let back = applied(&take_back(&after), &after);
            assert_eq!(back, before);
            assert_eq!(judged(&back).0, Class::Orphan);
        }
    }

    #[test]
    fn what_was_wished_before_is_told() {
        let before =
            metadata(&[("note", "x"), ("Fleet.Keep-Until", "2027-01-01"), ("fleet.keep-reason", "thesis")]);
        assert_eq!(wishes(&before).unwrap(), "Fleet.Keep-Until=2027-01-01, fleet.keep-reason=thesis");
        assert_eq!(wishes(&metadata(&[("note", "x")])), None);
    }

    #[test]
    fn a_wish_that_comes_too_late_is_told_as_one() {
        let with = |status: &str| Volume { status: status.to_owned(), ..volume(1) };
        assert_eq!(stays(None).unwrap_err(), "it is gone");
        assert_eq!(
            stays(Some(&with("deleting"))).unwrap_err(),
            "it is being deleted already, its status is \"deleting\""
        );
        assert!(stays(Some(&with("error_deleting"))).is_err());
        assert_eq!(stays(Some(&with("available"))), Ok(()));
        assert_eq!(stays(Some(&with("in-use"))), Ok(()));
    }

    #[test]
    fn the_last_wish_counts() {
        let good = metadata(&[("fleet.keep", "true"), (" Fleet.Keep-Reason", "old")]);
        let until = Wish { until: Some("2026-03-05"), reason: Some("new") };
        let after = applied(&until.change(&good, now()).unwrap(), &good);
        assert_eq!(after, metadata(&[("fleet.keep-until", "2026-03-05"), ("fleet.keep-reason", "new")]));
        let again = applied(&Wish::default().change(&after, now()).unwrap(), &after);
        assert_eq!(again, metadata(&[("fleet.keep", "true"), ("fleet.keep-reason", "new")]));
    }

    #[test]
    fn a_wish_that_keeps_nothing_is_refused() {
        let wrong = |until: Option<&str>, reason: Option<&str>| {
            Wish { until, reason }.change(&Metadata::new(), now()).unwrap_err()
        };
        assert_eq!(wrong(Some("2026-02-27"), None), "2026-02-27 is over already");
        assert_eq!(wrong(Some("June"), None), "\"June\" is not a date; write it like \"2027-06-30\"");
        let long = "x".repeat(VALUE_LIMIT + 1);
        for reason in [long.as_str(), "two\nlines"] {
            assert!(wrong(None, Some(reason)).contains("one line of at most 255 characters"));
        }
    }

    #[test]
    fn a_wish_may_be_until_this_very_moment_and_have_a_reason_as_long_as_cinder_takes_one() {
        let reason = "\u{fc}".repeat(VALUE_LIMIT);
        let wish = Wish { until: Some("2026-03-01T12:00:00Z"), reason: Some(&reason) };
        let after = wish.change(&Metadata::new(), now()).unwrap().set;
        assert_eq!(judged(&after).0, Class::Kept);
    }

    #[test]
    fn a_volume_is_meant_by_its_id_or_by_a_name_that_no_other_has() {
        let twin = Volume { name: volume(1).name, ..volume(2) };
        let mut view = view(vec![volume(1), twin, volume(3)], vec![vec![]]);
        let find = |view: &crate::observed::VolumeView, wanted: &str| {
            let id = |(_, volume): (&Project, &Volume)| volume.id.clone();
            meant(&view.projects, wanted).map(id).map_err(|all| all.into_iter().map(id).collect::<Vec<_>>())
        };
        assert_eq!(find(&view, &volume_id(1)), Ok(volume_id(1)));
        assert_eq!(find(&view, &volume(3).name), Ok(volume_id(3)));
        assert_eq!(find(&view, &volume(1).name), Err(vec![volume_id(1), volume_id(2)]));
        assert_eq!(find(&view, "nothing"), Err(vec![]));
        let nameless = Volume { name: String::new(), ..volume(4) };
        view.projects[0].volumes.push(nameless);
        assert_eq!(find(&view, ""), Err(vec![]));
        // One project under two URLs is one.
        let mut again = view.projects[0].clone();
        again.project = project("again");
        view.projects.push(again);
        assert_eq!(find(&view, &volume(3).name), Ok(volume_id(3)));
    }

    #[test]
    fn what_keeps_is_known_however_it_is_written() {
        let odd = with_metadata(1, " FLEET.keep-Until ", "2099-01-01");
        assert_eq!(take_back(&odd.metadata).remove, [" FLEET.keep-Until "]);
    }
}
