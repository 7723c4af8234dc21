//! A look at an openrc before a hub is made with it. It is code, and only a sandbox ever sources it: here it is
//! read, and what cannot be understood passes, because sourcing will tell. No message has a value of the file
//! in it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::exit::{Exit, Failure};
use crate::secret::Script;

use super::shell::{self, Command};

/// The most that is read of one. An openrc has a kilobyte or two.
pub const MOST_BYTES: u64 = 1 << 20;

/// Why a file cannot be a hub's openrc: all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with an openrc.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing is there.
    #[error("there is no such file")]
    Missing,
    /// A directory. With an old-style bind mount Docker makes one where the file was missing.
    #[error("it is a directory")]
    Directory,
    /// A device, a socket or a pipe.
    #[error("it is {0}, not a regular file")]
    NotAFile(&'static str),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// More than any openrc has.
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// Not text.
    #[error("it is not text")]
    NotText,
    /// The carriage return becomes a part of every value.
    #[error("it has Windows line ends, which would become a part of every value; 'dos2unix' takes them out")]
    WindowsLines,
    /// It reads from the terminal, which there is none of in a sandbox.
    #[error("line {line} asks for a password, which nobody is there to type in a sandbox")]
    AsksForPassword {
        /// The line.
        line: usize,
    },
    /// No `OS_AUTH_URL`.
    #[error("it does not set OS_AUTH_URL")]
    NoAuthUrl,
    /// Some kind of credentials, but not all of it.
    #[error("it does not set {missing}, which {kind} needs")]
    Incomplete {
        /// The variables that are not set.
        missing: String,
        /// The kind of credentials.
        kind: &'static str,
    },
    /// No credentials of any kind.
    #[error(
        "it sets no credentials: neither OS_APPLICATION_CREDENTIAL_ID with OS_APPLICATION_CREDENTIAL_SECRET, nor a user"
    )]
    NoCredentials,
}

/// What is not well with an openrc that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Others on this machine can read the secrets.
    OthersCanRead {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::OthersCanRead { path, mode } = self;
        let path = path.display();
        write!(f, "others can open {path} (mode {mode:04o}), and secrets are in it: chmod 600 {path}")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for Error {}

impl Error {
    fn lines(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|problem| format!("openrc {}: {problem}", self.path.display()))
    }

    fn hint(&self) -> Option<String> {
        let credentials = self.problems.iter().any(|problem| {
            use Problem::{AsksForPassword, Incomplete, NoCredentials};
            matches!(problem, AsksForPassword { .. } | Incomplete { .. } | NoCredentials)
        });
        credentials.then(|| HOW_TO.to_owned())
    }
}

/// How to come by an openrc that asks for nothing.
const HOW_TO: &str = "make an application credential: it needs no password, is limited to one project, and can be taken \
back alone. In Horizon: Identity > Application Credentials > Create Application Credential, then 'Download openrc file' \
before the window is closed, because its secret is shown only once";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { exit: Exit::Usage, problems: error.lines().collect(), hint: error.hint() }
    }
}

/// Looks at an openrc: whether it is a file that can be used, and whether it plainly asks for a password or
/// plainly lacks credentials.
pub fn check(path: &Path) -> Result<Vec<Warning>, Error> {
    let wrong = |problems| Error { path: path.to_owned(), problems };
    let (metadata, bytes) = read(path).map_err(|problem| wrong(vec![problem]))?;
    let problems = look(&bytes);
    if !problems.is_empty() {
        return Err(wrong(problems));
    }
    let mode = metadata.mode() & 0o777;
    let open = mode & 0o077 != 0;
    Ok(open.then(|| Warning::OthersCanRead { path: path.to_owned(), mode }).into_iter().collect())
}

/// The text that somebody wants to be a hub's openrc, if nothing is plainly wrong with it.
pub fn load(path: &Path) -> Result<Script, Error> {
    let (_, bytes) =
        read(path).map_err(|problem| Error { path: path.to_owned(), problems: vec![problem] })?;
    check_text(path, bytes)
}

/// The same for a text that came from elsewhere; `name` is what it is called.
pub fn check_text(name: &Path, bytes: Vec<u8>) -> Result<Script, Error> {
    let problems = look(&bytes);
    if problems.is_empty() { Ok(Script::new(bytes)) } else { Err(Error { path: name.to_owned(), problems }) }
}

/// The text of an openrc that is in use, whatever is wrong with it.
pub fn text(path: &Path) -> Result<Script, Error> {
    match read(path) {
        Ok((_, bytes)) if bytes.len() as u64 <= MOST_BYTES => Ok(Script::new(bytes)),
        Ok(_) => Err(Error { path: path.to_owned(), problems: vec![Problem::TooLarge] }),
        Err(problem) => Err(Error { path: path.to_owned(), problems: vec![problem] }),
    }
}

fn read(path: &Path) -> Result<(Metadata, Vec<u8>), Problem> {
    let file = open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Problem::Missing,
        // What opening a socket says; it is no use to anybody.
        _ => match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => not_a_file(&metadata),
            _ => Problem::Unreadable(error.to_string()),
        },
    })?;
    let unreadable = |error: io::Error| Problem::Unreadable(error.to_string());
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(not_a_file(&metadata));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok((metadata, bytes))
}

fn open(path: &Path) -> io::Result<File> {
    // A pipe that nobody writes to would otherwise hang here.
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

fn not_a_file(metadata: &Metadata) -> Problem {
    let kind = metadata.file_type();
    if kind.is_dir() {
        Problem::Directory
    } else if kind.is_fifo() {
        Problem::NotAFile("a pipe")
    } else if kind.is_socket() {
        Problem::NotAFile("a socket")
    } else {
        Problem::NotAFile("a device")
    }
}

/// What is wrong with an openrc's content.
fn look(bytes: &[u8]) -> Vec<Problem> {
    if bytes.len() as u64 > MOST_BYTES {
        return vec![Problem::TooLarge];
    }
    let Some(script) = std::str::from_utf8(bytes).ok().filter(|script| !script.contains('\0')) else {
        return vec![Problem::NotText];
    };
    if script.trim().is_empty() {
        return vec![Problem::Empty];
    }
    let mut problems = Vec::new();
    if script.contains("\r\n") {
        problems.push(Problem::WindowsLines);
    }
    // Where the script cannot be followed, sourcing it tells.
    let Some(commands) = shell::commands(script) else { return problems };
    if let Some(prompt) = commands.iter().find(|command| prompts(command)) {
        problems.push(Problem::AsksForPassword { line: prompt.line });
    }
    if let Some(set) = plainly_set(&commands) {
        problems.extend(lacking(&set));
    }
    problems
}

/// Whether a command waits for somebody to type. What may not run, or has its input from elsewhere, may not.
fn prompts(command: &Command) -> bool {
    command.certain && !command.fed && command.words.first().is_some_and(|word| word == "read")
}

/// The variables that a script sets to something, and to what.
type Set<'a> = BTreeMap<&'a str, &'a str>;

/// The variables that a script plainly sets, or `None` where a command may set others that are not to be seen.
fn plainly_set(commands: &[Command]) -> Option<Set<'_>> {
    let mut set = Set::new();
    for command in commands {
        let (first, rest) = command.words.split_first()?;
        match first.as_str() {
            "export" | "declare" | "typeset" | "readonly" => {
                set.extend(rest.iter().filter_map(|word| assigned(word)));
            }
            // What it reads is not known, but it is something.
            "read" => set.extend(rest.iter().map(|name| (name.as_str(), ""))),
            "unset" | "echo" | "printf" | "test" | "[" | "[[" | "true" | "false" | ":" | "set" | "shopt"
            | "umask" | "return" | "exit" | "cd" | "stty" => {}
            // Assignments alone; before a command they would hold for that command only, which may do anything.
            _ if command.words.iter().all(|word| word.contains('=')) => {
                set.extend(command.words.iter().filter_map(|word| assigned(word)));
            }
            _ => return None,
        }
    }
    Some(set)
}

/// The variable that a word sets to something.
fn assigned(word: &str) -> Option<(&str, &str)> {
    word.split_once('=').filter(|(_, value)| !value.is_empty())
}

/// What credentials lack. A variable's alternatives stand side by side, the usual one first.
fn lacking(set: &Set<'_>) -> Vec<Problem> {
    let kind = set.get("OS_AUTH_TYPE").copied().unwrap_or_default();
    let known = ["", "v3applicationcredential", "password", "v3password"].contains(&kind);
    // clouds.yaml, or a way to authenticate that is not known here.
    if !known || ["OS_CLOUD", "OS_TOKEN", "OS_ACCESS_TOKEN"].iter().any(|name| set.contains_key(name)) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    if !set.contains_key("OS_AUTH_URL") {
        problems.push(Problem::NoAuthUrl);
    }
    let begins = |prefix: &str| set.keys().any(|name| name.starts_with(prefix));
    if kind == "v3applicationcredential" || begins("OS_APPLICATION_CREDENTIAL_") {
        let needs: &[&[&str]] = &[
            &["OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_NAME"],
            &["OS_APPLICATION_CREDENTIAL_SECRET"],
        ];
        problems.extend(incomplete("an application credential", needs, set));
        // A name is one user's own.
        if !set.contains_key("OS_APPLICATION_CREDENTIAL_ID")
            && set.contains_key("OS_APPLICATION_CREDENTIAL_NAME")
        {
            let needs: &[&[&str]] = &[&["OS_USERNAME", "OS_USER_ID"]];
            problems.extend(incomplete("the name of an application credential", needs, set));
        }
    } else if kind.ends_with("password") || begins("OS_USER") || begins("OS_PASSWORD") {
        let needs: &[&[&str]] = &[
            &["OS_USERNAME", "OS_USER_ID"],
            &["OS_PASSWORD"],
            &["OS_PROJECT_NAME", "OS_PROJECT_ID", "OS_TENANT_NAME", "OS_TENANT_ID"],
        ];
        problems.extend(incomplete("signing in with a password", needs, set));
    } else {
        problems.push(Problem::NoCredentials);
    }
    problems
}

fn incomplete(kind: &'static str, needs: &[&[&str]], set: &Set<'_>) -> Option<Problem> {
    let missing: Vec<&str> = needs
        .iter()
        .filter(|names| !names.iter().any(|name| set.contains_key(name)))
        .filter_map(|names| names.first().copied())
        .collect();
    (!missing.is_empty()).then(|| Problem::Incomplete { missing: missing.join(" and "), kind })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "\
#!/usr/bin/env bash
# read -sr OS_PASSWORD_INPUT
export OS_AUTH_TYPE=v3applicationcredential
export OS_AUTH_URL=https://js2.jetstream-cloud.org:5000/v3/
export OS_REGION_NAME=\"IU\"
if [ -z \"$OS_REGION_NAME\" ]; then unset OS_REGION_NAME; fi
unset OS_TENANT_ID
export OS_APPLICATION_CREDENTIAL_ID=s3cr3t-id
export OS_APPLICATION_CREDENTIAL_SECRET='s3cr3t; read X'
";

    /// As Horizon makes it for a user with a password.
    const PASSWORD: &str = "\
export OS_AUTH_URL=https://js2.jetstream-cloud.org:5000/v3/
export OS_PROJECT_ID=s3cr3t
export OS_USERNAME=\"s3cr3t\"
echo \"Please enter your OpenStack Password for project $OS_PROJECT_NAME as user $OS_USERNAME: \"
read -sr OS_PASSWORD_INPUT
export OS_PASSWORD=$OS_PASSWORD_INPUT
";

    fn problems(script: &str) -> Vec<String> {
        look(script.as_bytes()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_openrc_of_each_kind_passes() {
        assert_eq!(problems(GOOD), [""; 0]);
        assert_eq!(
            problems("OS_AUTH_URL=x OS_USERNAME=u OS_PASSWORD=p; OS_PROJECT_NAME=q\nexport OS_AUTH_URL"),
            [""; 0]
        );
        assert_eq!(problems("export OS_CLOUD=jetstream2"), [""; 0]);
        assert_eq!(
            problems(
                "export OS_AUTH_URL=x OS_APPLICATION_CREDENTIAL_NAME=n OS_USER_ID=u OS_APPLICATION_CREDENTIAL_SECRET=s"
            ),
            [""; 0]
        );
    }

    #[test]
    fn one_that_asks_for_a_password_is_told_how_to_need_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openrc.sh");
        crate::files::replace(&path, PASSWORD.as_bytes(), 0o600).unwrap();
        let failure = Failure::from(check(&path).unwrap_err());
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.to_string().contains("line 5 asks for a password"), "{failure}");
        assert!(failure.hint.unwrap().contains("application credential"));
    }

    #[test]
    fn what_it_cannot_understand_passes() {
        for script in [
            "source /etc/openrc",
            ". ~/common.sh\nexport OS_AUTH_URL=x",
            "eval $(vault read openstack)",
            "export OS_AUTH_URL=x OS_APPLICATION_CREDENTIAL_ID=$(pass id) OS_APPLICATION_CREDENTIAL_SECRET=`pass s`",
            "set_credentials",
            "cat <<EOF\nread X\nEOF",
            "export OS_AUTH_URL='open",
            "if [ -t 0 ]; then read -sr OS_PASSWORD; fi; load",
            "read -r OS_PASSWORD < /run/secret; load",
            "load | while read -r line; do export \"$line\"; done",
        ] {
            assert_eq!(problems(script), [""; 0], "{script}");
        }
    }

    #[test]
    fn all_that_is_missing_is_told_at_once() {
        insta::assert_snapshot!(problems("export OS_APPLICATION_CREDENTIAL_ID=a\nexport OS_AUTH_URL=").join("\n"), @r#"
        it does not set OS_AUTH_URL
        it does not set OS_APPLICATION_CREDENTIAL_SECRET, which an application credential needs
        "#);
        insta::assert_snapshot!(problems("export OS_AUTH_URL=u OS_USERNAME=a").join("\n"), @r#"
        it does not set OS_PASSWORD and OS_PROJECT_NAME, which signing in with a password needs
        "#);
        insta::assert_snapshot!(problems("export OS_REGION_NAME=IU\r\n").join("\n"), @r#"
        it has Windows line ends, which would become a part of every value; 'dos2unix' takes them out
        it does not set OS_AUTH_URL
        it sets no credentials: neither OS_APPLICATION_CREDENTIAL_ID with OS_APPLICATION_CREDENTIAL_SECRET, nor a user
        "#);
        insta::assert_snapshot!(problems("OS_AUTH_URL=u OS_APPLICATION_CREDENTIAL_NAME=n").join("\n"), @r#"
        it does not set OS_APPLICATION_CREDENTIAL_SECRET, which an application credential needs
        it does not set OS_USERNAME, which the name of an application credential needs
        "#);
        insta::assert_snapshot!(problems(" \n").join("\n"), @"it is empty");
    }

    #[test]
    fn what_is_no_file_is_refused_and_a_pipe_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let only = |path: &Path| check(path).unwrap_err().problems;
        assert_eq!(only(&dir.path().join("none")), [Problem::Missing]);
        assert_eq!(only(dir.path()), [Problem::Directory]);
        assert_eq!(only(Path::new("/dev/null")), [Problem::NotAFile("a device")]);
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(only(&socket), [Problem::NotAFile("a socket")]);
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(only(&pipe), [Problem::NotAFile("a pipe")]);
        assert_eq!(look(&vec![b'x'; (1 << 20) + 1]), [Problem::TooLarge]);
        assert_eq!(look(b"\xff\xfe"), [Problem::NotText]);
        assert_eq!(look(b"\x7fELF\0"), [Problem::NotText]);
        assert_eq!(look(b""), [Problem::Empty]);
    }

    #[test]
    fn a_file_that_others_can_read_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openrc.sh");
        crate::files::replace(&path, GOOD.as_bytes(), 0o600).unwrap();
        assert_eq!(check(&path), Ok(vec![]));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let warnings = check(&path).unwrap();
        assert_eq!(warnings, [Warning::OthersCanRead { path: path.clone(), mode: 0o640 }]);
        assert!(warnings[0].to_string().contains("chmod 600"));
    }

    proptest! {
        #[test]
        fn no_value_is_ever_told(
            names in proptest::collection::vec("OS_[A-Z_]{1,30}", 0..6),
            lines in proptest::sample::select(vec!["\n", "\r\n", "; ", "\nread X\n"]),
        ) {
            let script: String = names.iter().flat_map(|name| ["export ", name, "=hunter2", lines]).collect();
            prop_assert!(!problems(&script).join("\n").contains("hunter2"));
        }

        #[test]
        fn no_content_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = look(&bytes);
        }
    }
}

/// What `fuzz/` looks at an openrc with.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// What is wrong with it is told in words.
    pub fn look(bytes: &[u8]) {
        for problem in super::look(bytes) {
            let _ = problem.to_string();
        }
    }
}
