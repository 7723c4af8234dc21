//! Servers that are none, or do not answer.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use std::path::Path;

use super::*;
use crate::exit::chain;
use crate::hub::JumpAddress;

const LIMIT: Duration = Duration::from_secs(5);
/// For servers that never answer.
const SHORT: Duration = Duration::from_millis(300);
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn master(port: u16) -> SshTarget {
    SshTarget { user: "op".to_owned(), port, key: "/none".into(), jump: None, agent: None }
}

#[test]
fn a_commands_output_is_taken_only_if_it_ended_well() {
    let ran = |stdout: &str, stderr: &str, status, signal: Option<&str>| {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        Ran { stdout, stderr, status, signal: signal.map(ToOwned::to_owned) }.output()
    };
    assert_eq!(ran("a: 1\n", "warning", 0, None).unwrap(), "a: 1\n");
    assert_eq!(
        ran("half a secret", "sudo: a\npassword\u{1b}[0m", 1, None).unwrap_err(),
        "ended with status 1 (sudo: a password [0m)"
    );
    assert_eq!(ran("half a secret", "", 0, Some("KILL")).unwrap_err(), "was ended by signal KILL");
    assert_eq!(ran(" \n", "", 0, None).unwrap_err(), "wrote nothing");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_as_refused() {
    let port = TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap().port();
    let error = host_key(&master(port), HERE, None, None, LIMIT).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }));
    assert!(chain(&error).contains(&format!("127.0.0.1:{port}: Connection refused")), "{}", chain(&error));
    assert!(error.hint().unwrap().contains("no SSH server listens"));
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_time_limit_alone() {
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let start = Instant::now();
    let error =
        host_key(&master(listener.local_addr().unwrap().port()), HERE, None, None, SHORT).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { doing: "agreeing on keys", .. }), "{error:?}");
    assert!(start.elapsed() < SHORT * 3);
}

#[tokio::test]
async fn a_server_that_trickles_costs_the_time_limit_alone() {
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(b"a\r\n").is_ok() {
            std::thread::sleep(SHORT / 20);
        }
    });
    let start = Instant::now();
    let error = host_key(&master(port), HERE, None, None, SHORT).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. } | Error::Handshake { .. }), "{error:?}");
    assert!(start.elapsed() < SHORT * 3);
}

#[tokio::test]
async fn a_server_that_is_no_ssh_server_is_told_as_such() {
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let error = host_key(&master(port), HERE, None, None, LIMIT).await.unwrap_err();
    assert!(matches!(error, Error::Handshake { .. }), "{error:?}");
}

#[tokio::test]
async fn a_caller_that_goes_away_hangs_up() {
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = master(port);
    let call = host_key(&target, HERE, None, None, Duration::from_mins(1));
    assert!(timeout(SHORT, call).await.is_err());
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    // libssh2's banner, and then the end and not a time limit.
    stream.read_to_end(&mut Vec::new()).unwrap();
}

/// A pinned key, made by ssh-keygen.
fn some_key() -> HostKey {
    let line = "127.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOYNbefro74KI7BspaFv70ncQZt2TFJFTfwkgIvhDqz1";
    HostKey::from_known_hosts(line, HERE, 22).unwrap()
}

/// A key's file that nobody reads further than its first lines.
fn some_file(dir: &Path, text: &str) -> std::path::PathBuf {
    let path = dir.join("key");
    crate::files::replace(&path, text.as_bytes(), 0o600).unwrap();
    path
}

#[tokio::test]
async fn what_fails_at_the_jump_host_is_told_of_the_jump_host() {
    let dir = tempfile::tempdir().unwrap();
    let key = some_file(dir.path(), "-----BEGIN RSA PRIVATE KEY-----\n");
    let nobody = TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap().port();
    let at = JumpAddress { user: "op".to_owned(), host: HERE.to_string(), port: nobody };
    let target = SshTarget { jump: Some(JumpHost { at, key }), ..master(1) };
    let error = host_key(&target, HERE, None, Some(&some_key()), LIMIT).await.unwrap_err();
    let told = chain(&error);
    assert!(told.starts_with(&format!("on the jump host: connecting to 127.0.0.1:{nobody}: ")), "{told}");
    assert!(error.hint().unwrap().contains("sshd on the jump host"), "{:?}", error.hint());
    let unpinned = host_key(&target, HERE, None, None, LIMIT).await.unwrap_err();
    assert!(matches!(unpinned, Error::NoJumpPin { .. }), "{unpinned:?}");
}

#[tokio::test]
async fn a_bridge_to_an_agent_that_hangs_ends_at_the_deadline_and_one_to_none_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent");
    let began = Instant::now();
    let missing = agent::Bridge::to(&socket, began + LIMIT).await;
    assert!(matches!(missing, Err(AgentProblem::NotThere(_))));
    // It takes connections, and says nothing.
    let _hangs = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let bridge = agent::Bridge::to(&socket, began + SHORT).await.ok().unwrap();
    let path = bridge.socket().to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.read(&mut [0; 8])
    });
    assert!(!matches!(asked.await.unwrap(), Ok(1..)));
    assert!(began.elapsed() < SHORT * 3);
}
