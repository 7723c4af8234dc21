//! What a tunnel's last words mean, and what to do about them.

use crate::hub::HubName;
use crate::observed::Unseen;

/// What follows in a tunnel's words where it got no further than the jump host.
const AT_JUMP_HOST: &str = "at the jump host: ";

/// The same for a jump host.
const KNOWN_OF_JUMP_HOST: [(&str, &str); 7] = [
    (
        "Host key verification failed",
        "the jump host shows another host key than the one that is pinned: `fleet trust {}` shows both, and pins the new one once \
         you have made sure of it",
    ),
    (
        "Permission denied",
        "the jump host does not take the key: put its public half into the account's ~/.ssh/authorized_keys there, or name another \
         with `ssh_jump_key` in fleet.toml",
    ),
    (
        "stdio forwarding failed",
        "the jump host answers, and does not get to the master: is that running, are `ip` and `ssh_port` right, does its security \
         group let the jump host in, and does the jump host's sshd allow it (AllowTcpForwarding)?",
    ),
    (
        "Connection refused",
        "nothing listens at the jump host's SSH port: is its sshd running, and the port in `ssh_jump` right?",
    ),
    ("timed out", "the jump host does not answer: is it running, and is `ssh_jump` right?"),
    ("No route to host", "the jump host does not answer: is it running, and is `ssh_jump` right?"),
    ("Could not resolve", "the sandbox finds no address for the jump host's name: is `ssh_jump` right?"),
];

/// What OpenSSH says, and what to do then. `{}` is the hub.
const KNOWN: [(&str, &str); 8] = [
    (
        "Host key verification failed",
        "the master shows another host key than the one that is pinned: `fleet trust {}` shows both, and pins the new one once \
         you have made sure of it",
    ),
    (
        "Permission denied",
        "the master does not take the key: put its public half into the account's ~/.ssh/authorized_keys there, or name another \
         with `ssh_key` in fleet.toml",
    ),
    // sshd's MaxStartups and PerSourcePenalties; a master that is starting.
    (
        "kex_exchange_identification",
        "the master's sshd hangs up on new connections; the tunnel tries again every 2 s at most",
    ),
    (
        "Connection reset",
        "the master's sshd hangs up on new connections; the tunnel tries again every 2 s at most",
    ),
    (
        "Connection refused",
        "nothing listens at the master's SSH port: is its sshd running, and `ssh_port` right?",
    ),
    (
        "Connection timed out",
        "the master does not answer: is it running, and does its security group let SSH in?",
    ),
    ("No route to host", "the master does not answer: is it running, and is `ip` right?"),
    (
        "forwarding",
        "something else in the sandbox listens at 127.0.0.1:6443, or the master forbids forwarding (AllowTcpForwarding)",
    ),
];

/// What to do about a tunnel that says this; `None` where its words tell nothing.
fn advice(hub: &HubName, words: &str) -> Option<String> {
    let known = if words.contains(AT_JUMP_HOST) { &KNOWN_OF_JUMP_HOST[..] } else { &KNOWN };
    let (_, what) = known.iter().find(|(word, _)| words.contains(word))?;
    Some(what.replace("{}", hub.as_str()))
}

/// Why a cluster cannot be seen whose tunnel said this last, and what to do about it.
pub fn explained(missing: &Unseen, hub: &HubName, said: &str) -> Unseen {
    Unseen {
        subject: missing.subject.clone(),
        reason: format!("{}; the tunnel says: {said}", missing.reason),
        hint: advice(hub, said).or_else(|| missing.hint.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::Subject;

    fn hub() -> HubName {
        HubName::new("ou23s").unwrap()
    }

    #[test]
    fn a_host_key_that_changed_leads_to_fleet_trust() {
        let words = "ssh to ubuntu@10.0.0.1 ended with status 255: Host key verification failed. ";
        assert!(advice(&hub(), words).unwrap().contains("`fleet trust ou23s`"));
        assert_eq!(advice(&hub(), "ssh to ubuntu@10.0.0.1 ended with status 0: no reason given"), None);
    }

    #[test]
    fn the_advice_is_about_the_host_that_failed() {
        let said = |words: &str| {
            advice(
                &hub(),
                &format!("ssh to ubuntu@10.0.0.1 by way of op@bastion ended with status 255: {words}"),
            )
            .unwrap()
        };
        assert!(said("Permission denied (publickey).").contains("the master does not take"));
        assert!(
            said("at the jump host: op@bastion: Permission denied (publickey).").contains("ssh_jump_key")
        );
        assert!(
            said("at the jump host: Host key verification failed.").contains("the jump host shows another")
        );
        let onward = "at the jump host: stdio forwarding failed ";
        assert!(said(onward).contains("does not get to the master"));
    }

    #[test]
    fn what_the_tunnel_says_is_told_and_its_advice_comes_before_what_is_said_of_every_tunnel() {
        let missing = Unseen {
            subject: Subject::Hub(hub()),
            reason: "there is no tunnel".to_owned(),
            hint: Some("fleet status".to_owned()),
        };
        let told = explained(&missing, &hub(), "Permission denied (publickey).");
        assert_eq!(told.reason, "there is no tunnel; the tunnel says: Permission denied (publickey).");
        assert!(told.hint.unwrap().contains("authorized_keys"));
        assert_eq!(explained(&missing, &hub(), "something new").hint.as_deref(), Some("fleet status"));
    }
}
