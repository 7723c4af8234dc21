//! Against API servers on Unix sockets with real TLS, which answer what each test says.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::exit::chain;

const LIMIT: Duration = Duration::from_secs(5);
/// For servers that never answer.
const SHORT: Duration = Duration::from_millis(300);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A cluster's certificates, and a directory with its kubeconfig and socket.
struct World {
    dir: TempDir,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap(), authority: authority() };
        world.write_kubeconfig(&world.authority);
        world
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    fn write_kubeconfig(&self, trusted: &Authority) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["admin".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2040, 2, 3);
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        self.write(&format!(
            "current-context: c\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:6443', certificate-authority-data: {}}}}}]\n\
             users: [{{name: u, user: {{client-certificate-data: {}, client-key-data: {}}}}}]\n",
            STANDARD.encode(trusted.pem()),
            STANDARD.encode(certificate.pem()),
            STANDARD.encode(key.serialize_pem()),
        ));
    }

    fn write(&self, yaml: &str) {
        std::fs::File::create(self.kubeconfig())
            .and_then(|mut file| std::io::Write::write_all(&mut file, yaml.as_bytes()))
            .unwrap();
    }

    async fn cluster(&self, limit: Duration) -> Cluster {
        Cluster::connect(&self.kubeconfig(), &self.socket(), limit).await.unwrap()
    }

    /// A certificate for 127.0.0.1 that is valid.
    fn server_params() -> CertificateParams {
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap()
    }

    fn acceptor(&self, params: &CertificateParams) -> TlsAcceptor {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Answers each request with what `answer` makes of its path: a status and a body.
    fn serve(
        &self,
        params: &CertificateParams,
        answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
    ) {
        self.serve_raw(params, move |path| {
            let (status, body) = answer(path);
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        });
    }

    fn serve_raw(&self, params: &CertificateParams, answer: impl Fn(&str) -> String + Send + Sync + 'static) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let acceptor = self.acceptor(params);
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        request.push(byte);
                        if request.ends_with(b"\r\n\r\n") {
                            let text = String::from_utf8_lossy(&request).into_owned();
                            let path = text.split(' ').nth(1).unwrap_or_default();
                            let answer = answer(path);
                            let whole = answer.contains("content-length") && !answer.contains("x-cut");
                            if stream.write_all(answer.as_bytes()).await.is_err() || !whole {
                                return;
                            }
                            let _ = stream.flush().await;
                            request.clear();
                        }
                    }
                });
            }
        });
    }
}

fn list(kind: &str, meta: &str, names: &[&str]) -> String {
    let items: Vec<String> =
        names.iter().map(|name| format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{}}}}"#)).collect();
    format!(r#"{{"kind":"{kind}","metadata":{meta},"items":[{}]}}"#, items.join(","))
}

fn names(volumes: &[PersistentVolume]) -> Vec<&str> {
    volumes.iter().map(|volume| volume.name.as_str()).collect()
}

/// What `ready` says of a server.
async fn verdict(params: CertificateParams, status: u16, body: &str) -> Result<(), Error> {
    let world = World::new();
    let body = body.to_owned();
    world.serve(&params, move |_| (status, body.clone()));
    world.cluster(LIMIT).await.ready().await
}

#[tokio::test]
async fn a_ready_server_is_ready_and_sees_the_client_certificate() {
    verdict(World::server_params(), 200, "ok").await.unwrap();
}

#[tokio::test]
async fn a_server_that_says_something_else_is_not_ready() {
    let error = verdict(World::server_params(), 200, "<html>").await.unwrap_err();
    assert_eq!(error.kind(), Kind::BadAnswer);
}

#[tokio::test]
async fn statuses_are_told_apart() {
    for (status, kind) in [
        (401, Kind::Unauthorized),
        (403, Kind::Forbidden),
        (404, Kind::Other),
        (500, Kind::ServerError),
        (503, Kind::ServerError),
    ] {
        let error = verdict(World::server_params(), status, "[-]etcd failed").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(chain(&error).contains("[-]etcd failed"), "{}", chain(&error));
    }
    let error = verdict(World::server_params(), 401, "").await.unwrap_err();
    assert!(error.hint().unwrap().contains("expired client certificate"));
}

#[tokio::test]
async fn a_client_certificates_expiry_is_known_and_told_to_who_is_refused() {
    let world = World::new();
    world.serve(&World::server_params(), |_| (401, "Unauthorized".to_owned()));
    let cluster = world.cluster(LIMIT).await;
    assert_eq!(cluster.client_certificate_expires(), "2040-02-03T00:00:00Z".parse().ok());
    assert!(chain(&cluster.ready().await.unwrap_err()).contains("good until 2040-02-03T00:00:00Z"));
}

#[tokio::test]
async fn an_expired_server_certificate_is_told_as_expired() {
    let mut params = World::server_params();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let error = verdict(params, 200, "ok").await.unwrap_err();
    assert_eq!(error.kind(), Kind::CertificateExpired, "{}", chain(&error));
    assert!(error.hint().unwrap().contains("kubeadm certs renew all"));
}

#[tokio::test]
async fn a_server_with_another_name_is_not_trusted() {
    let params = CertificateParams::new(vec!["10.0.0.5".to_owned()]).unwrap();
    let error = verdict(params, 200, "ok").await.unwrap_err();
    assert_eq!(error.kind(), Kind::CertificateUntrusted);
    assert!(error.hint().unwrap().contains("certSANs"), "{:?}", error.hint());
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted() {
    let world = World::new();
    world.write_kubeconfig(&authority());
    world.serve(&World::server_params(), |_| (200, "ok".to_owned()));
    let error = world.cluster(LIMIT).await.ready().await.unwrap_err();
    assert_eq!(error.kind(), Kind::CertificateUntrusted, "{}", chain(&error));
}

#[tokio::test]
async fn no_socket_and_a_dead_socket_are_no_tunnel() {
    let world = World::new();
    let cluster = world.cluster(LIMIT).await;
    assert_eq!(cluster.ready().await.unwrap_err().kind(), Kind::NoTunnel);
    drop(UnixListener::bind(world.socket()).unwrap());
    let error = cluster.ready().await.unwrap_err();
    assert_eq!(error.kind(), Kind::NoTunnel);
    assert!(chain(&error).contains("refused"), "{}", chain(&error));
}

#[tokio::test]
async fn a_socket_that_may_not_be_opened_is_not_told_as_no_tunnel() {
    let world = World::new();
    let _listener = UnixListener::bind(world.socket()).unwrap();
    std::fs::set_permissions(world.socket(), std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may open anything: then the server is a silent one.
    let kind = world.cluster(SHORT).await.ready().await.unwrap_err().kind();
    assert!(matches!(kind, Kind::Other | Kind::Hanging), "{kind:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_time_limit_alone() {
    let world = World::new();
    let _listener = UnixListener::bind(world.socket()).unwrap();
    let cluster = world.cluster(SHORT).await;
    let start = std::time::Instant::now();
    let error = cluster.persistent_volumes().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Hanging);
    assert!(start.elapsed() < SHORT * 3);
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_costs_the_time_limit_alone() {
    let world = World::new();
    world.serve_raw(&World::server_params(), |_| "HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{".to_owned());
    let error = world.cluster(SHORT).await.persistent_volumes().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Hanging);
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_told_as_closed() {
    let world = World::new();
    world.serve_raw(&World::server_params(), |_| {
        "HTTP/1.1 200 X\r\nx-cut: 1\r\ncontent-length: 100\r\n\r\n{".to_owned()
    });
    let error = world.cluster(LIMIT).await.persistent_volumes().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Closed, "{}", chain(&error));
}

#[tokio::test]
async fn a_tunnel_with_nobody_at_its_far_end_is_told_as_closed() {
    let world = World::new();
    let listener = UnixListener::bind(world.socket()).unwrap();
    tokio::spawn(async move {
        // As ssh does: it accepts, cannot open the channel, and hangs up.
        while listener.accept().await.is_ok() {}
    });
    let error = world.cluster(LIMIT).await.ready().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Closed, "{}", chain(&error));
}

#[tokio::test]
async fn a_long_path_to_the_socket_works() {
    let mut world = World::new();
    let deep = world.dir.path().join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    world.serve(&World::server_params(), |_| (200, "ok".to_owned()));
    std::fs::rename(world.socket(), deep.join("api.sock")).unwrap();
    let cluster = Cluster::connect(&world.kubeconfig(), &deep.join("api.sock"), LIMIT).await.unwrap();
    cluster.ready().await.unwrap();
    let missing =
        Cluster::connect(&world.kubeconfig(), &deep.join("x").join("api.sock"), LIMIT).await.unwrap();
    assert_eq!(missing.ready().await.unwrap_err().kind(), Kind::NoTunnel);
    world.dir.disable_cleanup(false);
}

#[tokio::test]
async fn every_page_of_a_list_is_fetched() {
    let world = World::new();
    world.serve(&World::server_params(), |path| {
        let page = match path.split_once("continue=").map(|(_, from)| from) {
            None => list("PersistentVolumeList", r#"{"continue":"a=","remainingItemCount":2}"#, &["one"]),
            Some("a%3D") => {
                list("PersistentVolumeList", r#"{"continue":"b","remainingItemCount":1}"#, &["two"])
            }
            Some("b") => list("PersistentVolumeList", "{}", &["three"]),
            Some(_) => return (400, "bad".to_owned()),
        };
        (200, page)
    });
    let volumes = world.cluster(LIMIT).await.persistent_volumes().await.unwrap();
    assert_eq!(names(&volumes), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_page_that_fails_fails_the_list() {
    let world = World::new();
    world.serve(&World::server_params(), |path| {
        if path.contains("continue=") {
            return (503, "busy".to_owned());
        }
        (200, list("PersistentVolumeList", r#"{"continue":"a"}"#, &["one"]))
    });
    let error = world.cluster(LIMIT).await.persistent_volumes().await.unwrap_err();
    assert_eq!(error.kind(), Kind::ServerError);
}

#[tokio::test]
async fn a_list_that_expires_on_the_way_is_fetched_again_whole() {
    let world = World::new();
    let paths = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&paths);
    world.serve(&World::server_params(), move |path| {
        seen.lock().unwrap().push(path.to_owned());
        if path.contains("continue=") {
            let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","code":410,"reason":"Expired","message":"too old"}"#;
            return (410, status.to_owned());
        }
        let meta = if path.contains("limit=") { r#"{"continue":"a"}"# } else { "{}" };
        (200, list("PersistentVolumeList", meta, &["one", "two"]))
    });
    let volumes = world.cluster(LIMIT).await.persistent_volumes().await.unwrap();
    assert_eq!(names(&volumes), ["one", "two"]);
    assert_eq!(
        *paths.lock().unwrap(),
        [
            "/api/v1/persistentvolumes?limit=1000",
            "/api/v1/persistentvolumes?limit=1000&continue=a",
            "/api/v1/persistentvolumes",
        ]
    );
}

#[tokio::test]
async fn a_list_that_is_not_one_is_a_bad_answer() {
    for body in
        ["", "null", "{}", "[]", r#"{"kind":"PersistentVolumeList","metadata":{},"items":[{"spec":{}}]}"#]
    {
        let world = World::new();
        world.serve(&World::server_params(), move |_| (200, body.to_owned()));
        let error = world.cluster(LIMIT).await.persistent_volumes().await.unwrap_err();
        assert_eq!(error.kind(), Kind::BadAnswer, "{body}");
    }
}

#[tokio::test]
async fn something_that_is_no_http_is_a_bad_answer() {
    let world = World::new();
    world.serve_raw(&World::server_params(), |_| "SSH-2.0-OpenSSH content-length\r\n\r\n".to_owned());
    let error = world.cluster(LIMIT).await.ready().await.unwrap_err();
    assert_eq!(error.kind(), Kind::BadAnswer, "{}", chain(&error));
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_told_with_its_path() {
    let world = World::new();
    let told = |result: Result<Cluster, Error>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), Kind::Kubeconfig);
        assert!(chain(&error).contains(world.dir.path().to_str().unwrap()));
        chain(&error)
    };
    let missing = Cluster::connect(&world.dir.path().join("none"), &world.socket(), LIMIT).await;
    assert!(told(missing).contains("No such file"));
    world.write("a: [");
    assert!(told(Cluster::connect(&world.kubeconfig(), &world.socket(), LIMIT).await).contains("not YAML"));
    let directory = Cluster::connect(world.dir.path(), &world.socket(), LIMIT).await;
    assert!(told(directory).contains("irectory"));
}

#[tokio::test]
async fn certificates_that_are_none_are_told_without_what_they_are() {
    let world = World::new();
    let good = std::fs::read_to_string(world.kubeconfig()).unwrap();
    let secret = STANDARD.encode("hunter2");
    for field in ["certificate-authority-data: ", "client-certificate-data: ", "client-key-data: "] {
        let (before, rest) = good.split_once(field).unwrap();
        let after = &rest[rest.find(['}', ',']).unwrap()..];
        world.write(&format!("{before}{field}{secret}{after}"));
        let error = Cluster::connect(&world.kubeconfig(), &world.socket(), LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Kubeconfig, "{field}");
        let told = format!("{} {error:?}", chain(&error));
        assert!(!told.contains("hunter2") && !told.contains(&secret), "{told}");
    }
}
