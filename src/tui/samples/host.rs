//! The host.

use std::collections::BTreeMap;

use crate::facts::{
    Activation, AsperaFacts, BackendFact, BackendId, BootFacts, ChainFact, Facts, Foreign, InboundDefault,
    Listener, Observations, Os, Session, SshFacts, Via,
};
use crate::port::Protocol;

fn backend(id: BackendId, version: Option<&str>, active: bool, reason: &str) -> BackendFact {
    BackendFact {
        id,
        version: version.map(Into::into),
        installed: version.is_some(),
        active,
        owner: id == BackendId::Nftables && active,
        reason: reason.into(),
    }
}

fn chain(
    table: &str,
    name: &str,
    hook: &str,
    priority: i64,
    drops: Option<&str>,
    owner: Option<&str>,
) -> ChainFact {
    ChainFact {
        family: "inet".into(),
        table: table.into(),
        chain: name.into(),
        hook: hook.into(),
        priority,
        policy: if drops == Some("policy drop") {
            "drop".into()
        } else {
            "accept".into()
        },
        drops: drops.map(Into::into),
        owner: owner.map(Into::into),
    }
}

fn backends() -> Vec<BackendFact> {
    vec![
        backend(
            BackendId::Nftables,
            Some("1.0.6"),
            true,
            "inet filter input drops what no rule names",
        ),
        backend(BackendId::Iptables, Some("1.8.9"), false, "no rules"),
        backend(BackendId::Ufw, None, false, "not installed"),
        backend(BackendId::Firewalld, None, false, "not installed"),
    ]
}

fn chains() -> Vec<ChainFact> {
    vec![
        chain("filter", "input", "input", 0, Some("policy drop"), None),
        chain("edge", "input", "input", 10, Some("policy drop"), None),
        chain(
            "f2b-table",
            "f2b-chain",
            "input",
            -1,
            Some("rule with reject"),
            Some("fail2ban"),
        ),
        chain("filter", "output", "output", 0, None, None),
    ]
}

pub fn facts() -> Facts {
    Facts {
        hostname: "aspera01".into(),
        os: Os {
            id: "debian".into(),
            version: "12".into(),
            name: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.1.0-28-amd64".into(),
            systemd: true,
        },
        privileged: true,
        backends: backends(),
        backend: Some(BackendId::Nftables),
        refusal: None,
        inbound_default: InboundDefault::Drop,
        chains: chains(),
        foreign: vec![
            Foreign {
                owner: "nftables ruleset".into(),
                kind: "rules".into(),
                count: 14,
            },
            Foreign {
                owner: "fail2ban".into(),
                kind: "set elements".into(),
                count: 3,
            },
        ],
        boot: BootFacts {
            file: Some("/etc/nftables.conf".into()),
            content: None,
            unit: Some("nftables.service".into()),
            enabled: Some(true),
            ..BootFacts::default()
        },
        boots: BTreeMap::new(),
        contradictions: Vec::new(),
        unmanaged: Vec::new(),
        ssh: SshFacts {
            daemon: "OpenSSH_9.2p1".into(),
            ports: vec![22],
            activation: Activation::Service("ssh.service".into()),
            failed_logins: Some(4812),
            ..SshFacts::default()
        },
        session: Some(session()),
        listeners: vec![Listener {
            protocol: Protocol::Tcp,
            address: "0.0.0.0".parse().unwrap(),
            port: 22,
            program: Some("sshd".into()),
            pid: Some(812),
        }],
        aspera: Some(AsperaFacts {
            product: "IBM Aspera Connect Server".into(),
            version: "3.9.6".into(),
            path: "/opt/aspera".into(),
            role: Some("connect-server".into()),
            ..AsperaFacts::default()
        }),
        selinux: None,
        addresses: vec!["203.0.113.20".parse().unwrap(), "2001:db8::20".parse().unwrap()],
        also: Vec::new(),
        links: Vec::new(),
        observations: Observations::default(),
    }
}

fn session() -> Session {
    Session {
        via: Via::Ssh,
        client: Some("10.0.0.7".parse().unwrap()),
        client_port: Some(51844),
        server: Some("203.0.113.20".parse().unwrap()),
        server_port: Some(22),
        user: Some("admin".into()),
        pid: Some(1201),
        started_ms: Some(81_000),
        evidence: "comes in on TCP/22 from 10.0.0.7, from SSH_CONNECTION of sshd[1201]".into(),
    }
}

/// A host that must be refused: firewalld owns the rules.
pub fn refused_facts() -> Facts {
    Facts {
        backends: vec![
            backend(BackendId::Nftables, Some("1.0.9"), true, "carries the rules of firewalld"),
            BackendFact { owner: true, ..backend(BackendId::Firewalld, Some("1.3.4"), true, "runs, and owns the rules") },
        ],
        backend: None,
        refusal: Some(
            "firewalld owns the rules of this host, and rules written behind its back vanish at its next reload. \
             This version writes nftables rules only."
                .into(),
        ),
        ..facts()
    }
}
