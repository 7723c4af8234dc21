//! A fleet and its hubs, for tests of what judges them.

use std::time::Duration;

use super::{
    DeclaredEngine, Endpoint, EngineName, ExecRules, Fleet, Hub, HubDefaults, HubName, OrphanRules,
    SandboxSettings, SshTarget, Timeouts,
};

/// A hub with a sandbox of fleet's own.
pub(crate) fn hub(name: &str) -> Hub {
    Hub {
        name: HubName::new(name).unwrap(),
        ip: "10.0.0.1".parse().unwrap(),
        openrc: format!("/o/{name}.sh").into(),
        ssh: SshTarget { user: "ubuntu".to_owned(), port: 22, key: "/key".into(), jump: None, agent: None },
        project_domain: None,
        image: "sandbox".to_owned(),
        state: format!("/jhubs/{name}").into(),
        container: None,
        tags: Vec::new(),
        engine: EngineName::default(),
    }
}

/// An engine on this machine.
pub(crate) fn engine(name: &str) -> DeclaredEngine {
    DeclaredEngine {
        name: EngineName::new(name).unwrap(),
        endpoint: Endpoint::Unix("/docker.sock".into()),
        tags: Vec::new(),
        network: None,
    }
}

/// A fleet with these hubs.
pub(crate) fn fleet(hubs: Vec<Hub>, orphans: OrphanRules) -> Fleet {
    let second = Duration::from_secs(1);
    Fleet {
        path: "/srv/fleet.toml".into(),
        name: "fleet".to_owned(),
        engines: vec![engine("default")],
        usual_engine: EngineName::default(),
        state_dir: "/jhubs".into(),
        sandbox: SandboxSettings { memory: 1, pids: 1, network: None },
        timeouts: Timeouts {
            engine: second,
            ssh: second,
            openrc: second,
            openstack: second,
            kubernetes: second,
            tunnel: second,
        },
        orphans,
        exec: ExecRules { guard: Vec::new() },
        defaults: HubDefaults {
            ssh_user: "ubuntu".to_owned(),
            ssh_port: 22,
            ssh_key: None,
            ssh_jump: None,
            ssh_jump_key: None,
            ssh_agent: None,
            project_domain: None,
            image: "sandbox".to_owned(),
        },
        hubs,
    }
}
