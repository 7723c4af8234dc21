//! What fleet reads: `fleet.toml`, the openrc files, and each hub's state directory.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::certificates::Error;
use crate::content::{Content, Hub};
use crate::state::Project;

/// The engine's socket.
pub(crate) fn engine(dir: &Path) -> PathBuf {
    dir.join("docker.sock")
}

/// A hub's state directory.
pub(crate) fn state(dir: &Path, hub: &str) -> PathBuf {
    dir.join("jhubs").join(hub)
}

/// A project's openrc.
pub(crate) fn openrc(dir: &Path, project: &str) -> PathBuf {
    dir.join(format!("openrc-{project}.sh"))
}

/// Where a hub's cluster is spoken with.
pub(crate) fn socket(dir: &Path, hub: &str) -> PathBuf {
    state(dir, hub).join("tunnel/api.sock")
}

#[expect(clippy::disallowed_methods, reason = "into a directory of our own, which nobody reads yet")]
fn write(path: &Path, mode: u32, text: &str) -> Result<(), Error> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

/// Writes `fleet.toml`, and the key that it names.
pub(crate) fn write_fleet(dir: &Path, content: &Content) -> Result<(), Error> {
    let mut text = format!(
        "# Made by a stand-in.\nname = \"{}\"\nengine = \"unix://{}\"\n\n[defaults]\nssh_key = \"id_ed25519\"\n\n{}\n",
        content.fleet,
        engine(dir).display(),
        content.settings
    );
    for (place, hub) in content.hubs.iter().enumerate() {
        let _ = write!(
            text,
            "\n[[hub]]\nname = \"{}\"\nip = \"{}\"\nopenrc = \"openrc-{}.sh\"\n",
            hub.name,
            content.ip_of(place),
            hub.project
        );
    }
    write(&dir.join("id_ed25519"), 0o600, "no key: nobody logs in anywhere\n")?;
    write(&dir.join("fleet.toml"), 0o644, &text)
}

/// Writes a project's openrc, as Horizon hands it out.
pub(crate) fn write_openrc(dir: &Path, url: &str, project: &Project) -> Result<(), Error> {
    let text = format!(
        "#!/usr/bin/env bash\n\nexport OS_AUTH_TYPE=v3applicationcredential\nexport OS_AUTH_URL={url}/identity/v3/\n\
         export OS_IDENTITY_API_VERSION=3\nexport OS_REGION_NAME=\"RegionOne\"\nexport OS_INTERFACE=public\n\
         export OS_APPLICATION_CREDENTIAL_ID={}\nexport OS_APPLICATION_CREDENTIAL_SECRET={}\n",
        project.credential, project.secret
    );
    write(&openrc(dir, &project.name), 0o600, &text)
}

/// Writes a hub's state directory.
pub(crate) fn write_state(dir: &Path, hub: &Hub, ip: &str, kubeconfig: &str) -> Result<(), Error> {
    let state = state(dir, &hub.name);
    for part in ["kube", "tunnel", "novaclient", "terraform", "helm", &hub.name] {
        fs::create_dir_all(state.join(part))?;
    }
    write(&state.join("kube/config"), 0o600, kubeconfig)?;
    write(&state.join("tunnel/known_hosts"), 0o600, &format!("{ip} ssh-ed25519 {}\n", host_key()))
}

/// A host key of nobody's: its type, and 32 bytes, each with its length in front (RFC 4253, 6.6).
fn host_key() -> String {
    let mut blob = Vec::new();
    for part in [&b"ssh-ed25519"[..], &[7; 32]] {
        blob.extend(u32::try_from(part.len()).unwrap_or(0).to_be_bytes());
        blob.extend(part);
    }
    STANDARD.encode(blob)
}
