//! TLS with an engine: who may have signed its certificate, and what fleet shows it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Error;
use crate::hub::{Endpoint, TlsFiles};

type Cause = Box<dyn std::error::Error + Send + Sync>;

pub(super) struct Tls {
    connector: TlsConnector,
    host: ServerName<'static>,
}

impl Tls {
    /// Reads what an engine's TLS goes by. Nobody else's certificates count: not even the system's.
    pub(super) fn new(at: &Endpoint, host: &str, files: &TlsFiles) -> Result<Self, Error> {
        let bad = |file: &Path, source: Cause| Error::Tls {
            at: Box::new(at.clone()),
            file: file.to_owned(),
            source,
        };
        let TlsFiles { ca, client } = files;
        let roots = roots(ca).map_err(|source| bad(ca, source))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(ca, error.into()))?
            .with_root_certificates(roots);
        let config = match client {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate).map_err(|source| bad(certificate, source))?;
                let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.into()))?;
                config.with_client_auth_cert(chain, secret).map_err(|error| bad(certificate, error.into()))?
            }
        };
        let host = ServerName::try_from(host.to_owned()).map_err(|error| bad(ca, error.into()))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), host })
    }

    pub(super) async fn over(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.host.clone(), stream).await
    }
}

fn roots(ca: &Path) -> Result<RootCertStore, Cause> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let all: Vec<_> = CertificateDer::pem_file_iter(file)?.collect::<Result<_, _>>()?;
    if all.is_empty() { Err("there is no certificate in it".into()) } else { Ok(all) }
}
