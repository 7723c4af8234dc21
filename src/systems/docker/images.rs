//! The images that an engine has, and new ones of the same name.

use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt as _;

use super::{Connection, Error};

impl Connection {
    /// The id of the image of that name, which changes when another one is built or pulled under it; `None` where the
    /// engine has none.
    pub async fn image_id(&self, image: &str) -> Result<Option<String>, Error> {
        let asked = self.ask(|| format!("look at image {image}"), self.docker.inspect_image(image)).await;
        match asked {
            Ok(found) => Ok(Some(found.id.unwrap_or_default())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has the engine fetch what its registry has under the name now, and tells what the engine says meanwhile. The time limit is
    /// that of one sign of life: a large image takes as long as it takes.
    pub async fn pull(&self, image: &str, mut says: impl FnMut(&str)) -> Result<(), Error> {
        let options = CreateImageOptions { from_image: Some(tagged(image)), ..Default::default() };
        let what = || format!("pull image {image}");
        let mut signs = std::pin::pin!(self.docker.create_image(Some(options), None, None));
        loop {
            let next = async { signs.next().await.transpose() };
            let Some(sign) = self.ask(what, next).await? else { return Ok(()) };
            if let Some(message) = sign.error_detail.and_then(|error| error.message) {
                return Err(Error::Pull { image: image.to_owned(), why: crate::text::excerpt(&message) });
            }
            says(sign.status.as_deref().unwrap_or_default());
        }
    }
}

/// A name without a tag means every tag to the engine's API, and `latest` to everybody else.
fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || last.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tag_is_its_latest() {
        for (image, whole) in [
            ("fleet/sandbox", "fleet/sandbox:latest"),
            ("fleet/sandbox:v2", "fleet/sandbox:v2"),
            ("localhost:5000/sandbox", "localhost:5000/sandbox:latest"),
            ("here:5000/sandbox@sha256:12", "here:5000/sandbox@sha256:12"),
        ] {
            assert_eq!(tagged(image), whole);
        }
    }
}
