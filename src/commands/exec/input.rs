//! What commands read, where it is to be the same for all of them.

use std::fs::File;

use tokio::io::AsyncWriteExt as _;

use crate::commands::context::Context;
use crate::exec::scratch;
use crate::exit::Failure;

/// What all hubs read, in a scratch file: they read it at their own pace, and those of a later round from its beginning. It is the
/// script, where there is one, and then standard input, where that is wanted.
pub(super) async fn all(
    context: &Context,
    script: Option<&[u8]>,
    stdin: bool,
) -> Result<Option<File>, Failure> {
    if script.is_none() && !stdin {
        return Ok(None);
    }
    let failed = |error: std::io::Error| Failure::failed(&error);
    let file = scratch().map_err(failed)?;
    let mut kept = tokio::fs::File::from_std(file.try_clone().map_err(failed)?);
    let mut input = tokio::io::stdin();
    let copying = async {
        kept.write_all(script.unwrap_or_default()).await?;
        if stdin {
            tokio::io::copy(&mut input, &mut kept).await?;
        }
        // What was written is there for others only then.
        kept.flush().await
    };
    context.unless_interrupted(copying).await?.map_err(failed)?;
    Ok(Some(file))
}
