//! What a stand-in knows while it runs.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::content::{Content, Server, Snapshot, Volume};
use crate::docker::Execs;
use crate::fault::{Fault, Rule};
use crate::kubernetes::Cluster;
use crate::request::{Answer, Asked, Manner, Service};
use crate::table::Table;
use crate::{cinder, clock, docker, keystone, kubernetes, nova};

/// A request that came, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who was asked.
    pub service: Service,
    /// The hub's or project's name.
    pub of: String,
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// The status of the answer; 0 where none was given.
    pub status: u16,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, of, method, target, status } = self;
        let of = if of.is_empty() { "-" } else { of };
        write!(f, "{} {of} {method} {target} {status}", service.as_str())
    }
}

/// A project.
#[derive(Debug, Default)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) credential: String,
    pub(crate) secret: String,
    pub(crate) volumes: Table<Volume>,
    pub(crate) snapshots: Table<Snapshot>,
    pub(crate) servers: Table<Server>,
    /// Volumes that are being deleted, with when they are gone.
    pub(crate) going: Vec<(String, Instant)>,
}

/// A hub's sandbox.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    pub(crate) hub: String,
    pub(crate) openrc: PathBuf,
    pub(crate) state: PathBuf,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) fleet: String,
    /// Where Keystone, Cinder and Nova are: `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    pub(crate) latency: Duration,
    pub(crate) deleting: Duration,
    pub(crate) clock_ahead: SignedDuration,
    pub(crate) largest_page: usize,
    pub(crate) projects: Vec<Project>,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) sandboxes: Vec<Sandbox>,
    pub(crate) execs: Execs,
    /// Tokens that are good, each with its project's place.
    pub(crate) tokens: HashMap<String, usize>,
    pub(crate) made: u64,
    pub(crate) rules: Vec<Rule>,
    pub(crate) log: Vec<Entry>,
    /// Where the log goes, too.
    pub(crate) file: Option<File>,
}

impl State {
    pub(crate) fn new(content: Content, url: String, sandboxes: Vec<Sandbox>) -> Self {
        let clusters = content.hubs.iter().map(|hub| (hub.name.clone(), Cluster::new(hub))).collect();
        let projects = content.projects.into_iter().enumerate().map(|(place, project)| {
            let mut volumes = Table::default();
            for volume in project.volumes {
                volumes.insert(volume.created_at, &volume.id.clone(), volume);
            }
            let mut snapshots = Table::default();
            for snapshot in project.snapshots {
                snapshots.insert(snapshot.created_at, &snapshot.id.clone(), snapshot);
            }
            let mut servers = Table::default();
            for server in project.servers {
                servers.insert(server.created_at, &server.id.clone(), server);
            }
            Project {
                name: project.name,
                user: format!("{:032x}", 0xa000 + place),
                credential: format!("{:032x}", 0xc000 + place),
                secret: format!("not-a-real-secret-{place}"),
                id: project.id,
                volumes,
                snapshots,
                servers,
                going: Vec::new(),
            }
        });
        Self {
            fleet: content.fleet,
            url,
            latency: Duration::from_millis(content.latency_ms),
            deleting: Duration::from_millis(content.deleting_ms),
            clock_ahead: SignedDuration::from_secs(content.clock_ahead),
            largest_page: content.largest_page.max(1),
            projects: projects.collect(),
            clusters,
            sandboxes,
            execs: Execs::default(),
            tokens: HashMap::new(),
            made: 0,
            rules: Vec::new(),
            log: Vec::new(),
            file: None,
        }
    }

    /// What time it is for `OpenStack`.
    pub(crate) fn now(&self) -> Timestamp {
        clock::now().checked_add(self.clock_ahead).unwrap_or_else(|_| clock::now())
    }

    /// A number that was not there before.
    pub(crate) fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// The place of the project whose token a request has.
    pub(crate) fn project_of(&self, token: &str) -> Option<usize> {
        self.tokens.get(token).copied()
    }

    /// Answers a request, and notes it.
    pub(crate) fn answer(&mut self, mut asked: Asked) -> (Answer, Manner) {
        if matches!(asked.service, Service::Cinder | Service::Nova)
            && let Some(project) = self.project_of(&asked.token)
        {
            asked.of.clone_from(&self.projects[project].name);
        }
        let fault = self.rules.iter_mut().find_map(|rule| rule.befalls(&asked).then(|| rule.fault.clone()));
        let (mut answer, manner) = self.answer_with(&asked, fault.as_ref());
        if matches!(asked.service, Service::Keystone | Service::Cinder | Service::Nova) {
            let date = self.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            answer.headers.push(("date", date));
        }
        let entry = Entry {
            service: asked.service,
            of: asked.of,
            method: asked.method,
            target: asked.target,
            status: if matches!(manner, Manner::Hang | Manner::Silent) { 0 } else { answer.status },
        };
        if let Some(file) = &mut self.file {
            // The log in memory has it all the same.
            let _ = writeln!(file, "{entry}");
        }
        self.log.push(entry);
        (answer, manner)
    }

    fn answer_with(&mut self, asked: &Asked, fault: Option<&Fault>) -> (Answer, Manner) {
        match fault {
            Some(Fault::Status { code, retry_after }) => {
                let answer = error(asked, *code);
                let answer = match retry_after {
                    Some(seconds) => answer.with("retry-after", seconds.to_string()),
                    None => answer,
                };
                return (answer, Manner::Whole);
            }
            Some(Fault::Hang) => return (Answer::empty(500), Manner::Hang),
            Some(Fault::RevokeTokens) => self.tokens.clear(),
            Some(Fault::Lose(many)) => cinder::lose(self, asked, 1, *many),
            Some(Fault::LoseMarker) => cinder::lose(self, asked, 0, 1),
            Some(Fault::Gain(many)) => cinder::gain(self, asked, *many),
            _ => {}
        }
        let mut answer = match asked.service {
            Service::Keystone => keystone::answer(self, asked),
            Service::Cinder => cinder::answer(self, asked, fault),
            Service::Nova => nova::answer(self, asked, fault),
            Service::Kubernetes => kubernetes::answer(self, asked, fault),
            Service::Docker => docker::answer(self, asked),
        };
        let manner = match fault {
            Some(Fault::DoneBut { code }) => {
                answer = error(asked, *code);
                Manner::Whole
            }
            Some(Fault::DoneButSilent) => Manner::Silent,
            Some(Fault::CutBody) => Manner::CutBody,
            Some(Fault::CutAfterHeaders) => Manner::CutAfterHeaders,
            Some(Fault::HangAfterHeaders) => Manner::HangAfterHeaders,
            Some(Fault::NotJson) => {
                answer.body.truncate(answer.body.len() / 2);
                Manner::Whole
            }
            Some(Fault::WrongType) => {
                let page = "<html><body><h1>It works!</h1></body></html>";
                answer = Answer::text(200, "text/html", page);
                Manner::Whole
            }
            _ => Manner::Whole,
        };
        (answer, manner)
    }
}

/// An error as the service that was asked writes it.
fn error(asked: &Asked, code: u16) -> Answer {
    match asked.service {
        Service::Keystone => keystone::error(code, reason(code)),
        Service::Cinder => cinder::error(code, reason(code)),
        Service::Nova => nova::error(code, reason(code)),
        Service::Kubernetes => kubernetes::error(asked, code),
        Service::Docker => docker::error(code, reason(code)),
    }
}

/// HTTP's words for a status.
pub(crate) fn reason(code: u16) -> &'static str {
    http::StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}
