//! All engines of a fleet as one: what concerns a container goes to the engine that has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::join_all;

use super::{Connection, Error, ExecSpec, Running};
use crate::exit::chain;
use crate::hub::{DeclaredEngine, Endpoint, EngineName, Hub};
use crate::observed::{OldContainer, Processes, Sandbox};
use crate::sandbox::{Payload, SandboxSpec};

/// An engine that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// Which.
    pub engine: EngineName,
    /// Why, in one line.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Silent {
    /// It did not answer, or not as it should.
    pub fn of(engine: &EngineName, error: &Error) -> Self {
        match error {
            Error::Silent { reason, hint, .. } => {
                Self { engine: engine.clone(), reason: reason.clone(), hint: hint.clone() }
            }
            error => Self { engine: engine.clone(), reason: chain(error), hint: error.hint() },
        }
    }
}

impl From<Silent> for Error {
    fn from(Silent { engine, reason, hint }: Silent) -> Self {
        Self::Silent { engine, reason, hint }
    }
}

/// What engines answered, and those that did not.
#[derive(Debug, Clone)]
pub struct Of<T> {
    /// All answers, one engine's after the other's.
    pub found: Vec<T>,
    /// The engines whose answers are missing.
    pub silent: Vec<Silent>,
}

/// The engines of a fleet.
#[derive(Debug, Clone)]
pub struct Engine {
    all: Arc<Vec<(EngineName, Result<Connection, Silent>)>>,
    /// Which of them has what: containers and execs, by the engine's id.
    places: Arc<Mutex<HashMap<String, usize>>>,
}

impl Engine {
    /// Connects to all of them at once. One that does not answer keeps nobody from the others; where there is only one, that is an
    /// error.
    pub async fn connect(engines: &[DeclaredEngine], limit: Duration) -> Result<Self, Error> {
        let several = engines.len() > 1;
        let connecting = engines.iter().map(async |engine| {
            let reached = Connection::connect(engine, limit, several).await;
            (engine.name.clone(), reached)
        });
        let mut all = Vec::new();
        for (name, reached) in join_all(connecting).await {
            let reached = match reached {
                Err(error) if !several => return Err(error),
                reached => reached.map_err(|error| Silent::of(&name, &error)),
            };
            all.push((name, reached));
        }
        Ok(Self { all: Arc::new(all), places: Arc::default() })
    }

    /// The engine of that name.
    pub fn on(&self, name: &EngineName) -> Result<&Connection, Error> {
        self.place_of(name).and_then(|place| self.at(place))
    }

    fn place_of(&self, name: &EngineName) -> Result<usize, Error> {
        self.all.iter().position(|(known, _)| known == name).ok_or_else(|| Error::Silent {
            engine: name.clone(),
            reason: "it is not in fleet.toml any more".to_owned(),
            hint: None,
        })
    }

    fn at(&self, place: usize) -> Result<&Connection, Error> {
        let (_, reached) = &self.all[place];
        reached.as_ref().map_err(|silent| silent.clone().into())
    }

    /// The engine that has a container, or an exec.
    fn of(&self, id: &str) -> Result<&Connection, Error> {
        let known = self.places.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
        match (known, self.all.len()) {
            (Some(place), _) => self.at(place),
            (None, 1) => self.at(0),
            (None, _) => Err(Error::NoPlace { id: id.to_owned() }),
        }
    }

    fn learn<'i>(&self, place: usize, ids: impl IntoIterator<Item = &'i str>) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.extend(ids.into_iter().map(|id| (id.to_owned(), place)));
    }

    /// Asks every engine at once for things that have ids.
    async fn ask_all<T>(
        &self,
        question: impl AsyncFn(&Connection) -> Result<Vec<T>, Error>,
        id: impl Fn(&T) -> &str,
    ) -> Result<Of<T>, Error> {
        let question = &question;
        let answers = join_all(self.all.iter().map(async |(_, reached)| match reached {
            Ok(connection) => question(connection).await,
            Err(silent) => Err(silent.clone().into()),
        }));
        let mut of = Of { found: Vec::new(), silent: Vec::new() };
        for (place, answer) in answers.await.into_iter().enumerate() {
            match answer {
                Ok(found) => {
                    self.learn(place, found.iter().map(&id));
                    of.found.extend(found);
                }
                Err(error) if self.all.len() == 1 => return Err(error),
                Err(error) => of.silent.push(Silent::of(&self.all[place].0, &error)),
            }
        }
        Ok(of)
    }

    /// All sandboxes of a fleet, stopped ones included.
    pub async fn sandboxes(&self, fleet: &str, hub: Option<&str>) -> Result<Of<Sandbox>, Error> {
        self.ask_all(async |connection| connection.sandboxes(fleet, hub).await, |sandbox| &sandbox.id).await
    }

    /// All containers that may be the old scripts', stopped ones too. One that two names of an engine lead to is there once.
    pub async fn old_containers(&self) -> Result<Of<OldContainer>, Error> {
        let mut of =
            self.ask_all(async |connection| connection.old_containers().await, |found| &found.id).await?;
        let mut seen = std::collections::HashSet::new();
        of.found.retain(|container| seen.insert(container.id.clone()));
        Ok(of)
    }

    /// The container of the old scripts that is a hub's sandbox. See [`Connection::adopted`].
    pub async fn adopted(&self, container: &str, hub: &Hub) -> Result<Option<Sandbox>, Error> {
        let place = self.place_of(&hub.engine)?;
        let found = self.at(place)?.adopted(container, hub).await?;
        self.learn(place, found.iter().map(|sandbox| sandbox.id.as_str()));
        Ok(found)
    }

    /// Makes a sandbox on its engine. See [`Connection::create`].
    pub async fn create(&self, spec: &SandboxSpec) -> Result<String, Error> {
        let place = self.place_of(&spec.engine)?;
        let id = self.at(place)?.create(spec).await?;
        self.learn(place, [id.as_str()]);
        Ok(id)
    }

    /// Removes the images with fleet's layer that no container was made from. What cannot be removed only takes a little of a disk,
    /// and the next one who asks tries again.
    pub async fn clear_layers(&self) {
        join_all(self.all.iter().flat_map(|(_, reached)| reached).map(Connection::clear_layers)).await;
    }

    /// What another process connects with to the engine that has a container.
    pub fn address(&self, id: &str) -> Result<(Endpoint, Duration), Error> {
        let connection = self.of(id)?;
        Ok((connection.endpoint().clone(), connection.limit()))
    }

    /// Starts a container.
    pub async fn start(&self, id: &str) -> Result<(), Error> {
        self.of(id)?.start(id).await
    }

    /// Gives a container another name.
    pub async fn rename(&self, id: &str, name: &str) -> Result<(), Error> {
        self.of(id)?.rename(id, name).await
    }

    /// Stops a container.
    pub async fn stop(&self, id: &str) -> Result<(), Error> {
        self.of(id)?.stop(id).await
    }

    /// Lets a container go on that was paused.
    pub async fn unpause(&self, id: &str) -> Result<(), Error> {
        self.of(id)?.unpause(id).await
    }

    /// Sends a signal to a container's first process.
    pub async fn signal(&self, id: &str, signal: &str) -> Result<(), Error> {
        self.of(id)?.signal(id, signal).await
    }

    /// Stops a container and removes it.
    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        self.of(id)?.remove(id).await
    }

    /// The last lines that a container's first process wrote.
    pub async fn last_words(&self, id: &str, lines: usize) -> Result<String, Error> {
        self.of(id)?.last_words(id, lines).await
    }

    /// What a container's first process writes. See [`Connection::log`].
    pub fn log(
        &self,
        id: &str,
        lines: usize,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + use<>, Error> {
        Ok(self.of(id)?.log(id, lines, follow))
    }

    /// Starts a command in a container.
    pub async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<Running, Error> {
        let connection = self.of(container)?;
        let running = connection.exec(container, spec).await?;
        if self.all.len() > 1
            && let Ok(place) = self.place_of(connection.name())
        {
            self.learn(place, [running.id.as_str()]);
        }
        Ok(running)
    }

    /// The exit status of a command whose output has ended.
    pub async fn exit_status(&self, exec: &str) -> Result<i64, Error> {
        self.of(exec)?.exit_status(exec).await
    }

    /// Tells a command's terminal its new size.
    pub async fn resize(&self, exec: &str, rows: u16, columns: u16) -> Result<(), Error> {
        self.of(exec)?.resize(exec, rows, columns).await
    }

    /// The processes of a container.
    pub async fn processes(&self, id: &str) -> Result<Processes, Error> {
        self.of(id)?.processes(id).await
    }

    /// Brings fleet's programs into a container that fleet did not make.
    pub async fn bring_along(&self, container: &str, programs: &[Payload]) -> Result<(), Error> {
        self.of(container)?.bring_along(container, programs).await
    }

    /// Starts a command that goes on by itself.
    pub async fn start_detached(
        &self,
        container: &str,
        argv: &[&str],
        env: Vec<String>,
    ) -> Result<(), Error> {
        self.of(container)?.start_detached(container, argv, env).await
    }
}
