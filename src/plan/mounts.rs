//! Whether what a sandbox on another machine has mounted are the very files that are here.

use std::path::Path;

use crate::sandbox::Mount;

/// The first mount whose source is another file on the sandbox's machine than here. A number of the file system's own tells: which device
/// it is on, each machine says differently. `here` knows the numbers of this machine, and `there` is a line for each mount, as `stat`
/// writes them in the sandbox.
pub fn first_other<'m>(
    mounts: &'m [Mount],
    here: impl Fn(&Path) -> Option<u64>,
    there: &str,
) -> Option<&'m Mount> {
    let mut there = there.lines().map(|line| line.trim().parse::<u64>().ok());
    mounts.iter().find(|mount| {
        let seen = there.next().flatten();
        seen.is_none() || seen != here(&mount.source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts() -> Vec<Mount> {
        let mount =
            |source: &str| Mount { source: source.into(), target: "/there".to_owned(), read_only: true };
        ["/openrc", "/key", "/kube"].map(mount).to_vec()
    }

    fn here(path: &Path) -> Option<u64> {
        [("/openrc", 1), ("/key", 2), ("/kube", 3)]
            .iter()
            .find(|(of, _)| Path::new(of) == path)
            .map(|(_, number)| *number)
    }

    fn first(there: &str) -> Option<String> {
        first_other(&mounts(), here, there).map(|mount| mount.source.display().to_string())
    }

    #[test]
    fn files_of_one_number_are_the_same() {
        assert_eq!(first("1\n2\n3\n"), None);
    }

    #[test]
    fn the_first_that_is_another_one_is_told_and_so_is_one_of_which_nothing_is_said() {
        assert_eq!(first("1\n9\n8\n").as_deref(), Some("/key"));
        assert_eq!(first("1\n2\n").as_deref(), Some("/kube"));
        assert_eq!(first("").as_deref(), Some("/openrc"));
        assert_eq!(first("1\nstat: no such file\n3\n").as_deref(), Some("/key"));
        // It is gone there, and stat goes on with the next one.
        assert_eq!(first("1\n3\n").as_deref(), Some("/key"));
    }

    #[test]
    fn what_is_gone_here_is_not_the_same_as_what_is_gone_there() {
        assert_eq!(
            first_other(&mounts(), |_| None, "").map(|mount| mount.source.as_path()),
            Some(Path::new("/openrc"))
        );
    }
}
