//! The host.

use std::collections::BTreeMap;

use crate::facts::{
    Activation, AsperaFacts, BackendFact, BackendId, BootFacts, ChainFact, Contradiction, Facts, Foreign,
    InboundDefault, Listener, Observations, Os, Session, SshFacts, Unmanaged, Via,
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
            boot_hook: None,
        },
        privileged: true,
        backends: backends(),
        backend: Some(BackendId::Nftables),
        refusal: None,
        inbound_default: InboundDefault::Drop,
        chains: chains(),
        narrow: None,
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
            uid: Some(0),
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

fn save_chain(family: &str, table: &str, drops: &str) -> ChainFact {
    ChainFact {
        family: family.into(),
        owner: Some("iptables-nft".into()),
        ..chain(table, "INPUT", "input", 0, Some(drops), None)
    }
}

/// iptables of both families, with rules of its older kind loaded as well, that nothing loads at boot.
pub fn iptables_facts() -> Facts {
    Facts {
        backends: vec![
            backend(BackendId::Nftables, Some("1.0.6"), false, "no table of its own drops"),
            BackendFact {
                owner: true,
                ..backend(
                    BackendId::Iptables,
                    Some("1.8.9"),
                    true,
                    "INPUT of ip and ip6 filter drops what no rule names",
                )
            },
            backend(BackendId::Ufw, None, false, "not installed"),
            backend(BackendId::Firewalld, None, false, "not installed"),
        ],
        backend: Some(BackendId::Iptables),
        also: vec![BackendId::Nftables],
        chains: vec![
            save_chain("ip", "filter", "policy drop"),
            save_chain("ip6", "filter", "policy drop"),
            save_chain("ip", "filter (legacy)", "rule with reject"),
            chain("edge", "input", "input", 10, Some("policy drop"), None),
        ],
        boot: BootFacts {
            file: Some("/etc/iptables/rules.v4".into()),
            unit: Some("netfilter-persistent.service".into()),
            enabled: Some(false),
            ..BootFacts::default()
        },
        contradictions: vec![
            Contradiction {
                code: "FW004".into(),
                blocks: false,
                text: "iptables-legacy and iptables-nft both have rules: a packet must pass both. The older ones were \
                       loaded by a program that still calls iptables-legacy; take them out when nothing needs them."
                    .into(),
            },
            Contradiction {
                code: "FW009".into(),
                blocks: false,
                text: "3 rules of INPUT are not in /etc/iptables/rules.v4: they are gone after a reboot.".into(),
            },
        ],
        ..facts()
    }
}

/// A host whose own program would overwrite everything.
pub fn csf_facts() -> Facts {
    Facts {
        backends: vec![
            backend(BackendId::Nftables, Some("1.0.6"), false, "no table of its own drops"),
            backend(BackendId::Iptables, Some("1.8.9"), true, "carries the rules of csf"),
        ],
        backend: None,
        unmanaged: vec![Unmanaged::Csf],
        refusal: Some(
            "csf owns the rules of this host and writes all of them anew whenever it starts. Put the ports into \
             /etc/csf/csf.conf by hand:\n  TCP_IN  = \"...,33001\"   and TCP6_IN\n  UDP_IN  = \"...,33001\"   and UDP6_IN\n\
             take 22 out of TCP_IN and TCP6_IN when 33001 works, then type: csf -r\nSet TESTING = \"0\", or a cron job \
             empties all rules every five minutes."
                .into(),
        ),
        chains: vec![],
        foreign: vec![],
        ..facts()
    }
}

/// Nothing drops anything here.
pub fn open_facts() -> Facts {
    let listener = |program: &str, protocol, port| Listener {
        protocol,
        address: "0.0.0.0".parse().unwrap(),
        port,
        program: Some(program.into()),
        pid: Some(400),
        uid: Some(0),
    };
    let mut facts = Facts {
        inbound_default: InboundDefault::Accept,
        chains: vec![],
        foreign: vec![],
        ..facts()
    };
    facts.listeners.extend([
        listener("rpcbind", Protocol::Tcp, 111),
        listener("rpcbind", Protocol::Udp, 111),
        listener("postgres", Protocol::Tcp, 5432),
        listener("cockpit-ws", Protocol::Tcp, 9090),
    ]);
    facts
}
