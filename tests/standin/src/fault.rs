//! What can go wrong, and when.

use serde::Deserialize;

use crate::request::{Asked, Service};

/// A fault, with the requests that it befalls.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Of whom.
    pub service: Service,
    /// One hub's cluster or one project only, by name.
    #[serde(default)]
    pub of: Option<String>,
    /// One method only.
    #[serde(default)]
    pub method: Option<String>,
    /// A piece of the path with its query.
    #[serde(default)]
    pub path: String,
    /// So many such requests go well first.
    #[serde(default)]
    pub skip: usize,
    /// So many go wrong after that; all of them where this is not said.
    #[serde(default)]
    pub times: Option<usize>,
    /// What goes wrong.
    pub fault: Fault,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing is done, and the answer is an error of that status.
    Status {
        /// HTTP's status.
        code: u16,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// It is done, and the answer is an error of that status all the same.
    DoneBut {
        /// HTTP's status.
        code: u16,
    },
    /// It is done, and the connection ends without an answer.
    DoneButSilent,
    /// The answer breaks off in the middle of its body.
    CutBody,
    /// The connection ends after the headers.
    CutAfterHeaders,
    /// Nothing comes after the headers, and the connection stays.
    HangAfterHeaders,
    /// Nothing comes at all, and the connection stays.
    Hang,
    /// The body is no JSON: it ends in the middle, though HTTP says that it is whole.
    NotJson,
    /// A page for people, as a proxy shows it, with status 200.
    WrongType,
    /// The first page again.
    RepeatPage,
    /// A next link that leads to this page.
    LoopLink,
    /// A page without entries that has a next link.
    EmptyPage,
    /// Before the answer, so many volumes that earlier pages had are deleted by somebody, and not the marker.
    Lose(usize),
    /// Before the answer, the volume that the page is to begin after is deleted by somebody.
    LoseMarker,
    /// Before the answer, so many volumes are made by somebody.
    Gain(usize),
    /// Tokens that were given out until now are no good any more.
    RevokeTokens,
    /// The API server has forgotten where it was in a list (410).
    ForgetPlace,
    /// The first entry lacks this field, a JSON pointer into the entry.
    WithoutField(String),
}

impl Rule {
    /// Everything that a service is asked.
    pub fn of(service: Service, fault: Fault) -> Self {
        Self { service, of: None, method: None, path: String::new(), skip: 0, times: None, fault }
    }

    /// Those of one hub or project.
    #[must_use]
    pub fn at(self, name: &str) -> Self {
        Self { of: Some(name.to_owned()), ..self }
    }

    /// Those with that piece in their path.
    #[must_use]
    pub fn path(self, piece: &str) -> Self {
        Self { path: piece.to_owned(), ..self }
    }

    /// Those of that method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// Not the first so many.
    #[must_use]
    pub fn after(self, skip: usize) -> Self {
        Self { skip, ..self }
    }

    /// So many, and no more.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Whether it befalls a request. Counts those that are let through, and those that are not.
    pub(crate) fn befalls(&mut self, asked: &Asked) -> bool {
        let meant = self.service == asked.service
            && self.of.as_ref().is_none_or(|name| *name == asked.of)
            && self.method.as_ref().is_none_or(|method| *method == asked.method)
            && asked.target.contains(&self.path);
        if !meant {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        match &mut self.times {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}
