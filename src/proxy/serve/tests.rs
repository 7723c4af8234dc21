//! A proxy with a hub whose tunnel is a socket here, asked byte by byte.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;
use crate::proxy::kept::Place;

const SECRET: &str = "5d41402abc4b2a76b9719d911017c592";

struct Running {
    dir: TempDir,
    proxy: Arc<Proxy>,
    port: u16,
    control: PathBuf,
    ended: JoinHandle<Ended>,
    interrupt: watch::Sender<bool>,
}

fn write(dir: &Path, hubs: &[&str]) {
    let tables: Vec<String> = (1..)
        .zip(hubs)
        .map(|(number, hub)| {
            format!("[[hub]]\nname = \"{hub}\"\nip = \"192.0.2.{number}\"\nopenrc = \"openrc\"\nssh_key = \"key\"\n")
        })
        .collect();
    crate::files::replace(&dir.join("fleet.toml"), tables.concat().as_bytes(), 0o600).unwrap();
}

impl Running {
    async fn start(idle: Option<Duration>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &["ou23s", "pyaos"]);
        let fleet = config::load(&dir.path().join("fleet.toml")).unwrap();
        Place::of(&fleet).settings_or_new().unwrap();
        let control = Place::of(&fleet).socket();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = Settings { port, secret: SecretString::from(SECRET) };
        let proxy = Proxy::new(fleet, settings, idle, crate::clock::now());
        let (interrupt, asked) = Interrupt::manual();
        let ended = tokio::spawn({
            let (proxy, control) = (Arc::clone(&proxy), socket::listen(&control).unwrap());
            async move { proxy.serve(listener, control, &asked).await }
        });
        Self { dir, proxy, port, control, ended, interrupt }
    }

    /// A tunnel whose far end gives back what it gets, in capitals.
    fn tunnel(&self, hub: &str) {
        let directory = self.dir.path().join(format!("jhubs/{hub}/tunnel"));
        std::fs::create_dir_all(&directory).unwrap();
        let listener = socket::listen(&directory.join("api.sock")).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                        bytes[..count].make_ascii_uppercase();
                        stream.write_all(&bytes[..count]).await.unwrap();
                    }
                });
            }
        });
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// A connection to a hub, with the answer up to its empty line.
    async fn ask(&self, request: &str) -> (TcpStream, String) {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = head(&mut stream).await;
        (stream, answer)
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(answer).unwrap()
}

fn request(hub: &str, secret: &str) -> String {
    let credentials = STANDARD.encode(format!("fleet:{secret}"));
    format!(
        "CONNECT {hub}.fleet.internal:6443 HTTP/1.1\r\nHost: {hub}.fleet.internal:6443\r\nUser-Agent: Go-http-client/1.1\r\n\
         Proxy-Authorization: Basic {credentials}\r\n\r\n"
    )
}

async fn echo(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, text.to_ascii_uppercase());
}

async fn counts(running: &Running, open: usize) {
    let mut watched = running.proxy.activity.subscribe();
    let counting = watched.wait_for(|activity| activity.open == open);
    timeout(Duration::from_secs(5), counting).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_knows_the_secret_is_joined_to_the_hubs_tunnel() {
    let running = Running::start(None).await;
    running.tunnel("ou23s");
    let (mut stream, answer) = running.ask(&request("ou23s", SECRET)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.to_lowercase().contains("content-length"), "{answer}");
    echo(&mut stream, b"hello").await;
    counts(&running, 1).await;
    // One end is through: the other may go on.
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    counts(&running, 0).await;
}

#[tokio::test]
async fn everybody_else_is_refused_and_told_why_in_the_first_line() {
    let running = Running::start(None).await;
    running.tunnel("ou23s");
    let no_secret = "CONNECT ou23s.fleet.internal:6443 HTTP/1.1\r\nHost: x\r\n\r\n";
    for (asked, answered) in [
        (no_secret.to_owned(), "HTTP/1.1 407 this is not the proxy's secret"),
        (request("ou23s", "wrong"), "HTTP/1.1 407 "),
        (request("nobody", "wrong"), "HTTP/1.1 407 "),
        (request("nobody", SECRET), "HTTP/1.1 404 no hub nobody in fleet.toml"),
        (request("pyaos", SECRET), "HTTP/1.1 502 hub pyaos has no tunnel now: fleet status pyaos "),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 405 "),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MOST_HEADER)), "HTTP/1.1 431 "),
        ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), "HTTP/1.1 400 "),
    ] {
        let (mut stream, answer) = running.ask(&asked).await;
        assert!(answer.starts_with(answered), "{answer}");
        // The connection is over.
        let mut rest = String::new();
        let _ = stream.read_to_string(&mut rest).await;
        let reason = answer.lines().next().unwrap()["HTTP/1.1 407 ".len()..].to_owned();
        assert!(rest.is_empty() || rest == format!("{reason}\n"), "{rest}");
    }
    assert_eq!(running.proxy.connections(), 0);
}

#[tokio::test]
async fn a_hub_that_is_added_while_it_runs_is_found_and_a_broken_file_takes_none_away() {
    let running = Running::start(None).await;
    let first_line =
        async |hub: &str| running.ask(&request(hub, SECRET)).await.1.lines().next().unwrap().to_owned();
    assert!(first_line("mvu23s").await.contains("404"));
    write(running.dir.path(), &["ou23s", "mvu23s"]);
    running.tunnel("mvu23s");
    assert!(first_line("mvu23s").await.contains("200"));
    assert!(first_line("pyaos").await.contains("404"));
    crate::files::replace(&running.dir.path().join("fleet.toml"), b"[[hub]\n", 0o600).unwrap();
    assert!(first_line("mvu23s").await.contains("200"));
    write(running.dir.path(), &["ou23s"]);
    assert!(first_line("mvu23s").await.contains("404"));
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_say_all_is_cut_off_after_ten_seconds() {
    let running = Running::start(None).await;
    for said in ["", "CONNECT ou23s.fleet.internal:6443 HTTP/1.1\r\n"] {
        let begun = tokio::time::Instant::now();
        let (_, answer) = running.ask(said).await;
        assert_eq!(answer, "");
        assert!((GREETING..2 * GREETING).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn it_stays_while_somebody_is_connected_and_ends_when_nobody_has_been_for_the_time() {
    let idle = Duration::from_millis(300);
    let running = Running::start(Some(idle)).await;
    running.tunnel("ou23s");
    let (mut stream, _) = running.ask(&request("ou23s", SECRET)).await;
    sleep(3 * idle).await;
    echo(&mut stream, b"still there").await;
    // Who has no secret does not keep it.
    let _silent = running.connect().await;
    drop(stream);
    let begun = tokio::time::Instant::now();
    assert_eq!(timeout(10 * idle, running.ended).await.unwrap().unwrap(), Ended::Idle);
    assert!(begun.elapsed() * 6 >= idle * 5, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn it_is_asked_and_told_over_its_own_socket() {
    let running = Running::start(Some(Duration::from_mins(1))).await;
    running.tunnel("ou23s");
    let (_stream, _) = running.ask(&request("ou23s", SECRET)).await;
    let status = control::tell(&running.control, Word::Status).await.unwrap();
    assert_eq!((status.port, status.pid, status.connections), (running.port, std::process::id(), 1));
    assert_eq!((status.idle_seconds, status.config), (Some(60), running.dir.path().join("fleet.toml")));
    assert!(
        !serde_json::to_string(&control::tell(&running.control, Word::Stay).await.unwrap())
            .unwrap()
            .contains(SECRET)
    );
    let mut nonsense = socket::connect(&running.control).await.unwrap();
    nonsense.write_all(b"die\n").await.unwrap();
    assert_eq!(nonsense.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(control::tell(&running.control, Word::Stop).await.unwrap().connections, 1);
    assert_eq!(running.ended.await.unwrap(), Ended::Stopped);
    assert!(control::tell(&running.control, Word::Stay).await.is_err());
}

#[tokio::test]
async fn one_that_is_ending_lets_nobody_in() {
    let running = Running::start(None).await;
    running.tunnel("ou23s");
    running.proxy.activity.send_modify(|activity| activity.ending = true);
    assert!(control::tell(&running.control, Word::Stay).await.is_err());
    let (_, answer) = running.ask(&request("ou23s", SECRET)).await;
    assert!(answer.starts_with("HTTP/1.1 503 the proxy is ending"), "{answer}");
    running.interrupt.send_replace(true);
    assert_eq!(running.ended.await.unwrap(), Ended::Interrupted);
}

#[tokio::test]
async fn more_connections_than_may_pass_through_are_refused_and_the_rest_goes_on() {
    let running = Running::start(None).await;
    running.tunnel("ou23s");
    let (mut first, _) = running.ask(&request("ou23s", SECRET)).await;
    running.proxy.activity.send_modify(|activity| activity.open += CONNECTIONS - 1);
    let (_, answer) = running.ask(&request("ou23s", SECRET)).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    echo(&mut first, b"hello").await;
}

#[tokio::test]
async fn the_room_of_those_who_said_nothing_is_free_again() {
    let running = Running::start(None).await;
    running.tunnel("ou23s");
    let silent: Vec<TcpStream> =
        futures_util::future::join_all((0..GREETINGS).map(|_| running.connect())).await;
    drop(silent);
    assert!(running.ask(&request("ou23s", SECRET)).await.1.starts_with("HTTP/1.1 200 "));
}

/// A Docker engine with a sandbox for ou23s, which answers until it is asked for that, and then says nothing any more.
async fn engine_that_hangs_at(what: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = answer_until(what, stream).await;
            });
        }
    });
    port
}

async fn answer_until(what: &str, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let asked = head(&mut stream).await;
        if asked.lines().next().is_none_or(|line| line.contains(what)) {
            return std::future::pending().await;
        }
        let length =
            asked.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        stream.read_exact(&mut vec![0; length.unwrap_or(0)]).await?;
        let sandbox = r#"[{"Id":"x","State":"running","Labels":{"fleet.name":"fleet","fleet.hub":"ou23s"}}]"#;
        let body = match asked.lines().next().unwrap() {
            line if line.contains("/version") => r#"{"ApiVersion":"1.44"}"#,
            line if line.contains("/containers/json") => sandbox,
            line if line.contains("/containers/x/exec") => r#"{"Id":"e"}"#,
            _ => break,
        };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await?;
    }
    // The command that leads to the tunnel, in capitals as the other tunnels here.
    stream.write_all(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await?;
    if what == "joining" {
        return std::future::pending().await;
    }
    stream.write_all(b"\x02\0\0\0\0\0\0\x07joined\n").await?;
    let mut bytes = [0; 255];
    while let count @ 1.. = stream.read(&mut bytes).await? {
        bytes[..count].make_ascii_uppercase();
        stream.write_all(&[1, 0, 0, 0, 0, 0, 0, u8::try_from(count).unwrap()]).await?;
        stream.write_all(&bytes[..count]).await?;
    }
    Ok(())
}

/// Lets ou23s live on an engine whose time limit is 1 s.
fn move_to(running: &Running, port: u16) {
    let text = format!(
        "[timeouts]\nengine = \"1s\"\n[engines.far]\nurl = \"tcp://127.0.0.1:{port}\"\n[[hub]]\nname = \"ou23s\"\nip = \"192.0.2.1\"\n\
         openrc = \"openrc\"\nssh_key = \"key\"\nengine = \"far\"\n"
    );
    crate::files::replace(&running.dir.path().join("fleet.toml"), text.as_bytes(), 0o600).unwrap();
}

#[tokio::test]
async fn an_engine_that_hangs_is_told_with_its_hub_within_its_time_limit_wherever_it_hangs() {
    let hangs = ["/version", "/containers/json", "/containers/x/exec", "/exec/e/start", "joining"];
    futures_util::future::join_all(hangs.map(async |what| {
        let running = Running::start(None).await;
        move_to(&running, engine_that_hangs_at(what).await);
        let begun = tokio::time::Instant::now();
        let (_stream, answer) = running.ask(&request("ou23s", SECRET)).await;
        assert!(
            answer.starts_with(
                "HTTP/1.1 504 the tunnel of hub ou23s cannot be opened by way of its sandbox on engine far ("
            ),
            "{what}: {answer}"
        );
        assert!(answer.contains("no answer within 1s"), "{what}: {answer}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}: {:?}", begun.elapsed());
        counts(&running, 0).await;
    }))
    .await;
}

#[tokio::test]
async fn what_goes_through_a_sandbox_on_another_engine_has_no_time_limit() {
    let running = Running::start(None).await;
    move_to(&running, engine_that_hangs_at("nothing").await);
    let (mut stream, answer) = running.ask(&request("ou23s", SECRET)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    echo(&mut stream, b"hello").await;
    sleep(Duration::from_secs(3)).await;
    echo(&mut stream, b"still there").await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn however_a_request_is_cut_into_pieces_it_is_answered_the_same_and_what_follows_it_is_the_hubs(
        cuts in proptest::collection::btree_set(1usize..180, 0..12),
        good: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let running = Running::start(None).await;
            running.tunnel("ou23s");
            let text = format!("{}hello", request("ou23s", if good { SECRET } else { "wrong" }));
            let mut stream = running.connect().await;
            stream.set_nodelay(true).unwrap();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                let to = cut.min(text.len());
                // The proxy closes what it has refused, whatever is still on its way.
                if stream.write_all(&text.as_bytes()[from..to]).await.is_err() {
                    break;
                }
                from = to;
                tokio::task::yield_now().await;
            }
            let answer = head(&mut stream).await;
            if good {
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                let mut back = [0; 5];
                stream.read_exact(&mut back).await.unwrap();
                assert_eq!(&back, b"HELLO");
            } else {
                assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
            }
        });
    }
}
