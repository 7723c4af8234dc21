//! What commands read, where it is to be the same for all of them.

use std::fs::File;

use crate::commands::context::Context;
use crate::exec::scratch;
use crate::exit::Failure;

/// All of standard input, in a scratch file: hubs read it at their own pace, and those of a later round from its beginning.
pub(super) async fn all(context: &Context) -> Result<File, Failure> {
    let failed = |error: std::io::Error| Failure::failed(&error);
    let file = scratch().map_err(failed)?;
    let mut kept = tokio::fs::File::from_std(file.try_clone().map_err(failed)?);
    let mut input = tokio::io::stdin();
    let copying = async {
        tokio::io::copy(&mut input, &mut kept).await?;
        // What was written is there for others only then.
        tokio::io::AsyncWriteExt::flush(&mut kept).await
    };
    context.unless_interrupted(copying).await?.map_err(failed)?;
    Ok(file)
}
