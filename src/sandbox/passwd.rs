//! The operator's entry in a sandbox's `/etc/passwd`.
//!
//! A sandbox runs as the user who owns the hub's state, so that what is made inside belongs to them outside. `ssh`
//! refuses to run for a user id that has no name, so the id gets one, whatever image it is.

use super::spec::{Owner, paths};

/// The image's `passwd` with the operator in it: the entry comes first, so that it is the one found for its id.
pub fn with_operator(passwd: &str, owner: Owner) -> String {
    let mut lines: Vec<&str> = passwd.lines().filter(|line| !line.starts_with("openstack:")).collect();
    // A shell that the image's own entry names is one that the image has.
    let shell = passwd
        .lines()
        .find(|line| line.starts_with("openstack:"))
        .and_then(|line| line.rsplit(':').next())
        .filter(|shell| !shell.is_empty())
        .unwrap_or("/bin/sh");
    let entry = format!("openstack:x:{}:{}:operator:{}:{shell}", owner.uid, owner.gid, paths::HOME);
    lines.insert(0, &entry);
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "root:x:0:0:root:/root:/bin/bash\nopenstack:x:1000:1000::/home/openstack:/bin/bash\n";

    #[test]
    fn an_operator_who_is_root_is_found_as_openstack_with_its_home() {
        let text = with_operator(IMAGE, Owner { uid: 0, gid: 0 });
        assert_eq!(
            text,
            "openstack:x:0:0:operator:/home/openstack:/bin/bash\nroot:x:0:0:root:/root:/bin/bash\n"
        );
    }

    #[test]
    fn an_image_without_the_user_gets_one_with_a_shell_that_every_image_has() {
        let text = with_operator("root:x:0:0:root:/root:/bin/ash", Owner { uid: 1234, gid: 99 });
        assert!(text.starts_with("openstack:x:1234:99:operator:/home/openstack:/bin/sh\nroot:"), "{text}");
    }
}
