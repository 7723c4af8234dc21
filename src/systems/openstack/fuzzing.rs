//! What `fuzz/` reads answers with.

use serde::de::DeserializeOwned;

use super::{Cause, Settings, Token, parse, wire};
use crate::observed::{Server, Snapshot, Volume};
use crate::secret::OpenrcEnv;

fn page<R: DeserializeOwned, T>(body: &[u8], read: impl Fn(R) -> Result<T, Cause>) -> Option<Vec<T>> {
    let page: wire::Page<R> = parse(body).ok()?;
    let _ = page.next();
    page.entries.into_iter().map(|raw| read(raw).ok()).collect()
}

/// A page of volumes.
pub fn volumes(body: &[u8]) -> Option<Vec<Volume>> {
    page(body, |raw: wire::RawVolume| raw.into_volume("project"))
}

/// A page of snapshots.
pub fn snapshots(body: &[u8]) -> Option<Vec<Snapshot>> {
    page(body, |raw: wire::RawSnapshot| Ok(raw.into()))
}

/// A page of servers.
pub fn servers(body: &[u8]) -> Option<Vec<Server>> {
    page(body, |raw: wire::RawServer| raw.into_server("project"))
}

/// An answer to a login, with the services that it names.
pub fn token(body: &[u8]) {
    let env = b"OS_AUTH_URL=https://cloud:5000/v3\0OS_APPLICATION_CREDENTIAL_ID=a\0OS_APPLICATION_CREDENTIAL_SECRET=b";
    let subject = http::HeaderValue::from_static("token");
    if let (Ok(settings), Ok(token)) =
        (Settings::new(&OpenrcEnv::from_env0(env)), Token::read(Some(&subject), body))
    {
        let _ = (token.project(&settings), token.cinder(&settings), token.nova(&settings), token.header());
    }
    let _ = wire::credential_expiry(body);
}

/// What an openrc asks for.
pub fn openrc(env: &OpenrcEnv) {
    if let Ok(settings) = Settings::new(env) {
        let _ = settings.host();
    }
}
