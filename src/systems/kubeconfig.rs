//! Kubeconfigs as text: pointing one at the tunnel, and telling what keeps one from working inside a sandbox.
//!
//! Pure. A kubeconfig is a secret: nothing here puts more of it into a message than names, a line and a column.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

/// Where the cluster's API server answers inside a sandbox: the tunnel's end.
pub const SERVER: &str = "https://127.0.0.1:6443";

/// What keeps a kubeconfig from working inside a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It cannot be read at all.
    // serde's own message quotes what it found there, and that may be a key.
    #[error("line {line}, column {column}: this is not YAML, or not what a kubeconfig has there")]
    NotAKubeconfig {
        /// The line where reading ended, counted from 1.
        line: u64,
        /// The column, counted from 1.
        column: u64,
    },
    /// No `current-context`.
    #[error("it has no current-context")]
    NoCurrentContext,
    /// `current-context` names nothing.
    #[error("its current-context is {0:?}, and there is no such context")]
    NoContext(String),
    /// The context names a cluster that is not there.
    #[error("its current context leads to the cluster {0:?}, and there is no such cluster")]
    NoCluster(String),
    /// Two entries of one name: programs differ in which of them they take.
    #[error("it has two {what} called {name:?}")]
    Twice {
        /// `contexts`, `clusters` or `users`.
        what: &'static str,
        /// Their name.
        name: String,
    },
    /// The cluster has no address.
    #[error("its cluster {0:?} has no server")]
    NoServer(String),
    /// The address cannot be exchanged without touching something else, as with a YAML alias.
    #[error("the server of its cluster {0:?} is written in a way that cannot be changed by itself")]
    ServerNotPlain(String),
    /// The address is not the tunnel's end.
    #[error("its server is {0:?}, not the tunnel's end at https://127.0.0.1:6443")]
    ServerElsewhere(String),
    /// The address is not encrypted.
    #[error("its server is {0:?}, not an https URL")]
    NotHttps(String),
    /// Traffic would not go through the tunnel.
    #[error("its cluster {0:?} has a proxy-url")]
    Proxy(String),
    /// Certificates are not checked.
    #[error("its cluster {0:?} has insecure-skip-tls-verify")]
    Insecure(String),
    /// No certificate authority.
    #[error("its cluster {0:?} has no certificate-authority-data")]
    NoAuthority(String),
    /// The context names a user that is not there.
    #[error("its current context has no user, or one that is not there")]
    NoUser,
    /// The user cannot log in.
    #[error("its user {0:?} has no credentials")]
    NoCredentials(String),
    /// A file on the machine that the kubeconfig came from.
    #[error("its {field} is a path ({path:?}), which leads nowhere in a sandbox")]
    FileByPath {
        /// The field's name in the kubeconfig.
        field: &'static str,
        /// What it holds.
        path: String,
    },
    /// A program has to be run to log in.
    #[error("its user {0:?} logs in with a plugin ({1})")]
    Plugin(String, &'static str),
    /// Embedded data that is no base64.
    #[error("its {0} is not base64")]
    NotBase64(&'static str),
}

impl Problem {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Problem::ServerElsewhere(_) => format!("set its server to {SERVER}"),
            Problem::FileByPath { .. } | Problem::NoAuthority(_) => {
                "make it with the files inside it: `kubectl config view --raw --flatten`".to_owned()
            }
            _ => "use the master's /etc/kubernetes/admin.conf".to_owned(),
        }
    }
}

/// What fleet itself needs of a kubeconfig to speak with the API server.
#[derive(Debug)]
pub struct Access {
    /// The server's URL. Its host is the name that the server's certificate has to have.
    pub server: String,
    /// The name to check the certificate against instead.
    pub tls_server_name: Option<String>,
    /// The certificate authorities, PEM.
    pub authorities: Vec<u8>,
    /// The namespace that is meant where none is named.
    pub namespace: Option<String>,
    /// How to log in.
    pub credentials: Credentials,
}

/// How a kubeconfig's user logs in.
#[derive(Debug)]
pub enum Credentials {
    /// With a client certificate. Both are base64, as in the file.
    Certificate {
        /// The certificate.
        certificate: String,
        /// Its private key.
        key: SecretString,
    },
    /// With a bearer token.
    Token(SecretString),
    /// With a name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: SecretString,
    },
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "current-context")]
    current_context: Option<String>,
    #[serde(default)]
    contexts: Option<Vec<NamedContext>>,
    #[serde(default)]
    clusters: Option<Vec<NamedCluster>>,
    #[serde(default)]
    users: Option<Vec<NamedUser>>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Option<Context>,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: Option<String>,
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: Option<Spanned<String>>,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Option<User>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: Option<String>,
    client_certificate_data: Option<String>,
    client_key: Option<String>,
    client_key_data: Option<SecretText>,
    token: Option<SecretText>,
    // The one field of a kubeconfig that is not written with hyphens.
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    username: Option<String>,
    password: Option<SecretText>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct SecretText(String);

impl From<SecretText> for SecretString {
    fn from(text: SecretText) -> Self {
        text.0.into()
    }
}

/// Sets the server of the current context's cluster, and leaves every other byte as it is.
pub fn rewrite_server(yaml: &str, server: &str) -> Result<String, Problem> {
    let file: File = parse(yaml)?;
    let (index, name) = current_cluster(&file)?;
    let old = clusters(&file)
        .get(index)
        .and_then(|named| named.cluster.as_ref()?.server.as_ref())
        .ok_or_else(|| Problem::NoServer(name.clone()))?;
    let rewritten = if old.value == server {
        Some(yaml.to_owned())
    } else {
        splice(yaml, old, server).filter(|new| only_server_differs(yaml, new, index, server))
    };
    credentials(file_user(file)?)?;
    rewritten.ok_or(Problem::ServerNotPlain(name))
}

/// Everything that keeps a kubeconfig from working inside a sandbox, and fleet from using it. Empty is good.
pub fn check(yaml: &str) -> Vec<Problem> {
    let file: File = match parse(yaml) {
        Ok(file) => file,
        Err(problem) => return vec![problem],
    };
    let (index, name) = match current_cluster(&file) {
        Ok(found) => found,
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    if let Some(cluster) = clusters(&file).get(index).and_then(|named| named.cluster.as_ref()) {
        problems.extend(server(cluster, &name).err());
        if let Some(server) = &cluster.server
            && !is_tunnel(&server.value)
        {
            problems.push(Problem::ServerElsewhere(server.value.clone()));
        }
        if cluster.proxy_url.as_ref().is_some_and(|url| !url.is_empty()) {
            problems.push(Problem::Proxy(name.clone()));
        }
        problems.extend(authorities(cluster, &name).err());
    }
    problems.extend(file_user(file).and_then(credentials).err());
    problems
}

/// What fleet itself needs of a kubeconfig.
pub fn access(yaml: &str) -> Result<Access, Problem> {
    let file: File = parse(yaml)?;
    let (index, name) = current_cluster(&file)?;
    let cluster = clusters(&file)
        .get(index)
        .and_then(|named| named.cluster.as_ref())
        .ok_or_else(|| Problem::NoCluster(name.clone()))?;
    let server = server(cluster, &name)?;
    let tls_server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    let authorities = authorities(cluster, &name)?;
    let namespace = current_context(&file)?.namespace.clone().filter(|namespace| !namespace.is_empty());
    let credentials = credentials(file_user(file)?)?;
    Ok(Access { server, tls_server_name, authorities, namespace, credentials })
}

/// A kubeconfig's text, or the part of it that is looked at.
pub fn parse<T: serde::de::DeserializeOwned>(yaml: &str) -> Result<T, Problem> {
    // Without snippets: they quote the file.
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(yaml, options).map_err(|error| {
        let location = error.location();
        Problem::NotAKubeconfig {
            line: location.map_or(1, |location| location.line()),
            column: location.map_or(1, |location| location.column()),
        }
    })
}

fn clusters(file: &File) -> &[NamedCluster] {
    file.clusters.as_deref().unwrap_or_default()
}

fn current_context(file: &File) -> Result<&Context, Problem> {
    let name =
        file.current_context.as_ref().filter(|name| !name.is_empty()).ok_or(Problem::NoCurrentContext)?;
    let contexts = file.contexts.as_deref().unwrap_or_default();
    let index = only("contexts", name, contexts.iter().map(|named| &named.name))?;
    index
        .and_then(|index| contexts.get(index)?.context.as_ref())
        .ok_or_else(|| Problem::NoContext(name.clone()))
}

fn current_cluster(file: &File) -> Result<(usize, String), Problem> {
    let name = &current_context(file)?.cluster;
    let index = only("clusters", name, clusters(file).iter().map(|named| &named.name))?;
    let index = index.filter(|index| clusters(file).get(*index).is_some_and(|named| named.cluster.is_some()));
    Ok((index.ok_or_else(|| Problem::NoCluster(name.clone()))?, name.clone()))
}

/// The current context's user, with its name.
fn file_user(file: File) -> Result<(String, User), Problem> {
    let name = current_context(&file)?.user.clone().ok_or(Problem::NoUser)?;
    let mut users = file.users.unwrap_or_default();
    let index = only("users", &name, users.iter().map(|named| &named.name))?.ok_or(Problem::NoUser)?;
    let user = users.swap_remove(index).user.unwrap_or_default();
    Ok((name, user))
}

/// The place of the one entry of that name.
fn only<'a>(
    what: &'static str,
    name: &str,
    names: impl Iterator<Item = &'a String>,
) -> Result<Option<usize>, Problem> {
    let mut found = names.enumerate().filter(|(_, other)| *other == name).map(|(index, _)| index);
    let first = found.next();
    match found.next() {
        Some(_) => Err(Problem::Twice { what, name: name.to_owned() }),
        None => Ok(first),
    }
}

fn server(cluster: &Cluster, name: &str) -> Result<String, Problem> {
    let server = cluster.server.as_ref().filter(|server| !server.value.is_empty());
    let server = &server.ok_or_else(|| Problem::NoServer(name.to_owned()))?.value;
    if server.starts_with("https://") { Ok(server.clone()) } else { Err(Problem::NotHttps(server.clone())) }
}

/// Whether a URL is the tunnel's end. `localhost` is what some of the old kubeconfigs have.
fn is_tunnel(server: &str) -> bool {
    matches!(server.trim_end_matches('/'), SERVER | "https://localhost:6443")
}

fn authorities(cluster: &Cluster, name: &str) -> Result<Vec<u8>, Problem> {
    if cluster.insecure_skip_tls_verify == Some(true) {
        return Err(Problem::Insecure(name.to_owned()));
    }
    let field = "certificate-authority-data";
    match (
        filled(cluster.certificate_authority_data.as_ref()),
        filled(cluster.certificate_authority.as_ref()),
    ) {
        (Some(data), _) => STANDARD.decode(data.trim()).map_err(|_| Problem::NotBase64(field)),
        (None, Some(path)) => {
            Err(Problem::FileByPath { field: "certificate-authority", path: path.to_owned() })
        }
        (None, None) => Err(Problem::NoAuthority(name.to_owned())),
    }
}

fn filled(field: Option<&String>) -> Option<&str> {
    field.map(String::as_str).filter(|value| !value.is_empty())
}

fn credentials((name, user): (String, User)) -> Result<Credentials, Problem> {
    // A plugin is a program that would run on this machine because a file from a master says so.
    if user.exec.is_some() {
        return Err(Problem::Plugin(name, "exec"));
    }
    if user.auth_provider.is_some() {
        return Err(Problem::Plugin(name, "auth-provider"));
    }
    let certificate = embedded(
        ("client-certificate", user.client_certificate),
        ("client-certificate-data", user.client_certificate_data),
    )?;
    let key = embedded(
        ("client-key", user.client_key),
        ("client-key-data", user.client_key_data.map(|key| key.0)),
    )?;
    if let (Some(certificate), Some(key)) = (certificate, key) {
        return Ok(Credentials::Certificate { certificate, key: key.into() });
    }
    if let Some(token) = user.token.filter(|token| !token.0.is_empty()) {
        return Ok(Credentials::Token(token.into()));
    }
    if let Some(path) = user.token_file {
        return Err(Problem::FileByPath { field: "tokenFile", path });
    }
    match (user.username, user.password) {
        (Some(user), Some(password)) => Ok(Credentials::Password { user, password: password.into() }),
        _ => Err(Problem::NoCredentials(name)),
    }
}

/// A field that can be a path or base64 data. Data wins, as it does for kubectl.
fn embedded(
    (path_field, path): (&'static str, Option<String>),
    (data_field, data): (&'static str, Option<String>),
) -> Result<Option<String>, Problem> {
    match (data.filter(|data| !data.is_empty()), path.filter(|path| !path.is_empty())) {
        (Some(data), _) => match STANDARD.decode(data.trim()) {
            Ok(_) => Ok(Some(data.trim().to_owned())),
            Err(_) => Err(Problem::NotBase64(data_field)),
        },
        (None, Some(path)) => Err(Problem::FileByPath { field: path_field, path }),
        (None, None) => Ok(None),
    }
}

/// The text with one scalar exchanged. `None` where the scalar's place in the text is not known.
fn splice(yaml: &str, old: &Spanned<String>, new: &str) -> Option<String> {
    if old.referenced != old.defined {
        return None;
    }
    let span = old.defined.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    Some(format!("{}{new}{}", yaml.get(..start)?, yaml.get(end..)?))
}

/// Whether two kubeconfigs say the same, but for one cluster's server.
fn only_server_differs(before: &str, after: &str, index: usize, server: &str) -> bool {
    let (Ok(mut before), Ok(after)) = (parse::<Value>(before), parse::<Value>(after)) else {
        return false;
    };
    let Some(field) = before.pointer_mut(&format!("/clusters/{index}/cluster/server")) else {
        return false;
    };
    *field = Value::from(server);
    before == after
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ADMIN_CONF: &str = "\
# made by kubeadm
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Y2E=
    server: https://10.0.0.5:6443 # the master's
  name: kubernetes
- cluster: {server: 'https://10.9.9.9:6443', certificate-authority-data: Y2E=}
  name: other
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
preferences: {}
users:
- name: kubernetes-admin
  user:
    client-certificate-data: Y2VydA==
    client-key-data: a2V5
";

    fn without(line: &str) -> String {
        ADMIN_CONF
            .lines()
            .filter(|other| !other.contains(line))
            .fold(String::new(), |all, line| all + line + "\n")
    }

    fn with(old: &str, new: &str) -> String {
        assert!(ADMIN_CONF.contains(old), "{old}");
        ADMIN_CONF.replace(old, new)
    }

    #[test]
    fn only_the_current_clusters_server_changes() {
        let expected = with("https://10.0.0.5:6443", SERVER);
        assert_eq!(rewrite_server(ADMIN_CONF, SERVER).unwrap(), expected);
        assert_eq!(rewrite_server(&expected, SERVER).unwrap(), expected);
    }

    #[test]
    fn what_was_rewritten_has_nothing_wrong_with_it() {
        assert_eq!(check(&rewrite_server(ADMIN_CONF, SERVER).unwrap()), []);
        let access = access(&rewrite_server(ADMIN_CONF, SERVER).unwrap()).unwrap();
        assert_eq!((access.server.as_str(), access.authorities.as_slice()), (SERVER, b"ca".as_slice()));
        assert!(matches!(access.credentials, Credentials::Certificate { .. }));
    }

    #[test]
    fn quoted_and_flow_style_servers_change_too() {
        for quoted in ["'https://10.0.0.5:6443'", "\"https://10.0.0.5:6443\""] {
            let yaml = with("https://10.0.0.5:6443", quoted);
            let rewritten = rewrite_server(&yaml, SERVER).unwrap();
            assert!(rewritten.contains(SERVER));
            assert!(!rewritten.contains("10.0.0.5"));
            assert_eq!(check(&rewritten), []);
        }
        let yaml = with("    cluster: kubernetes\n", "    cluster: other\n");
        let rewritten = rewrite_server(&yaml, SERVER).unwrap();
        assert!(rewritten.contains("https://10.0.0.5:6443") && !rewritten.contains("10.9.9.9"));
    }

    #[test]
    fn text_that_is_not_ascii_does_not_shift_the_place() {
        let yaml = with("# made by kubeadm", "# gemacht für Zoë ☃");
        let expected = yaml.replace("https://10.0.0.5:6443", SERVER);
        assert_eq!(rewrite_server(&yaml, SERVER).unwrap(), expected);
    }

    #[test]
    fn json_is_yaml_too() {
        let value: Value = parse(ADMIN_CONF).unwrap();
        let json = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(check(&rewrite_server(&json, SERVER).unwrap()), []);
    }

    #[test]
    fn a_server_behind_an_alias_is_refused() {
        let yaml = with("    server: https://10.0.0.5:6443 # the master's", "    server: *s")
            .replace("apiVersion: v1", "apiVersion: v1\nx: &s https://10.0.0.5:6443");
        assert_eq!(rewrite_server(&yaml, SERVER), Err(Problem::ServerNotPlain("kubernetes".into())));
    }

    #[test]
    fn a_server_that_others_refer_to_is_refused() {
        let yaml = with("server: https://10.0.0.5:6443", "server: &s https://10.0.0.5:6443")
            .replace("'https://10.9.9.9:6443'", "*s ");
        match rewrite_server(&yaml, SERVER) {
            Err(problem) => assert_eq!(problem, Problem::ServerNotPlain("kubernetes".into())),
            // Where the anchor goes with the value, the alias must not be left hanging or changed.
            Ok(text) => panic!("{text}"),
        }
    }

    #[test]
    fn each_missing_part_has_its_own_error() {
        let error = |yaml: &str| rewrite_server(yaml, SERVER).unwrap_err();
        assert!(matches!(error("a: [1"), Problem::NotAKubeconfig { .. }));
        assert!(matches!(error("just text"), Problem::NotAKubeconfig { .. }));
        assert!(matches!(error("clusters: 5"), Problem::NotAKubeconfig { line: 1, column: 11 }));
        assert_eq!(error(&without("current-context")), Problem::NoCurrentContext);
        assert_eq!(
            error(&with("current-context: kubernetes-admin@kubernetes", "current-context: x")),
            Problem::NoContext("x".into())
        );
        assert_eq!(
            error(&with("    cluster: kubernetes\n", "    cluster: x\n")),
            Problem::NoCluster("x".into())
        );
        assert_eq!(error(&without("10.0.0.5")), Problem::NoServer("kubernetes".into()));
        assert_eq!(error(&without("client-")), Problem::NoCredentials("kubernetes-admin".into()),);
        assert_eq!(
            error(&with("name: other", "name: kubernetes")),
            Problem::Twice { what: "clusters", name: "kubernetes".into() }
        );
        assert_eq!(error(&with("- name: kubernetes-admin", "- name: x")), Problem::NoUser);
    }

    #[test]
    fn an_empty_file_is_no_kubeconfig() {
        for yaml in ["", "\n", "# nothing\n", "{}"] {
            assert!(rewrite_server(yaml, SERVER).is_err(), "{yaml:?}");
            assert_eq!(check(yaml).len(), 1, "{yaml:?}");
        }
    }

    #[test]
    fn several_documents_are_refused() {
        let yaml = format!("{ADMIN_CONF}---\n{ADMIN_CONF}");
        assert!(matches!(rewrite_server(&yaml, SERVER), Err(Problem::NotAKubeconfig { .. })));
    }

    #[test]
    fn a_check_tells_every_problem_at_once() {
        let yaml = with("    certificate-authority-data: Y2E=", "    certificate-authority: /etc/ca.crt")
            .replace("client-key-data: a2V5", "client-key: /root/key.pem");
        assert_eq!(
            check(&yaml),
            [
                Problem::ServerElsewhere("https://10.0.0.5:6443".into()),
                Problem::FileByPath { field: "certificate-authority", path: "/etc/ca.crt".into() },
                Problem::FileByPath { field: "client-key", path: "/root/key.pem".into() },
            ]
        );
    }

    #[test]
    fn a_kubeconfig_that_trusts_anybody_or_runs_programs_is_not_used() {
        let insecure = with("    certificate-authority-data: Y2E=", "    insecure-skip-tls-verify: true");
        assert_eq!(access(&insecure).unwrap_err(), Problem::Insecure("kubernetes".into()));
        let plugin = with("    client-key-data: a2V5", "    exec: {command: rm}");
        assert_eq!(access(&plugin).unwrap_err(), Problem::Plugin("kubernetes-admin".into(), "exec"));
        let plain = with("https://10.0.0.5:6443", "http://10.0.0.5:6443");
        assert!(matches!(access(&plain).unwrap_err(), Problem::NotHttps(_)));
    }

    #[test]
    fn no_message_quotes_a_secret() {
        for yaml in [
            with("client-key-data: a2V5", "client-key-data: [hunter2]"),
            with("client-key-data: a2V5", "client-key-data: hunter2!"),
            with("users:", "users: hunter2\nx:"),
            with("users:", "users: hunter2"),
            with("current-context: ", "current-context: [hunter2, *hunter2"),
        ] {
            for problem in check(&yaml) {
                let told = format!("{problem} {problem:?} {}", problem.hint());
                assert!(!told.contains("hunter2"), "{told}");
            }
        }
        let token = with("    client-key-data: a2V5", "    token: hunter2");
        assert!(!format!("{:?}", access(&token)).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn everything_else_stays_byte_for_byte(
            comment in "[^\\p{C}]{0,40}",
            server in "https://[a-z0-9.-]{1,30}:[0-9]{1,5}/?",
            crlf: bool,
            gap in 1usize..6,
        ) {
            let line = format!("server:{}{server} #{comment}", " ".repeat(gap));
            let mut yaml = with("server: https://10.0.0.5:6443 # the master's", &line);
            if crlf {
                yaml = yaml.replace('\n', "\r\n");
            }
            let rewritten = rewrite_server(&yaml, SERVER).unwrap();
            prop_assert_eq!(rewritten, yaml.replacen(&server, SERVER, 1));
        }

        #[test]
        fn no_text_brings_it_down(yaml in "(?s).{0,200}") {
            let _ = (rewrite_server(&yaml, SERVER), check(&yaml), access(&yaml).is_ok());
        }
    }
}

/// What `fuzz/` reads a kubeconfig with.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// All that is ever done with one.
    pub fn read(yaml: &str) {
        let _ = (super::check(yaml), super::access(yaml).is_ok());
        if let Ok(rewritten) = super::rewrite_server(yaml, "https://127.0.0.1:6443") {
            assert!(super::rewrite_server(&rewritten, "https://127.0.0.1:6443").is_ok());
        }
    }
}
