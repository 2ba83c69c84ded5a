//! The preview and the change.

use std::path::PathBuf;

use super::{TXN, answers, txn};
use crate::advice::{Advice, Severity};
use crate::answers::Legacy22;
use crate::change::{Before, Change, Diff, Preview, RuleLine, RuleState};
use crate::facts::BackendId;
use crate::plan::{Plan, Port22, Requirement};
use crate::port::{Direction, PortRange, Protocol};
use crate::step::{Action, Invocation, Signal, Step, Tool};

fn rule(id: &str, protocol: &str, ports: &str, state: RuleState, why: &str) -> RuleLine {
    RuleLine {
        id: id.into(),
        action: "accept".into(),
        direction: "in".into(),
        protocol: protocol.into(),
        ports: ports.into(),
        sources: vec![],
        why: why.into(),
        source: "IBM Docs, HSTS 4.4, \"Configuring the firewall\"".into(),
        state,
    }
}

fn nft(text: &str) -> Step {
    Step::Run(Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(text))
}

fn sweep() -> Step {
    Step::SweepNft {
        tag: format!("faspwall:{TXN}"),
        sets: vec!["faspwall_33001".into()],
        tables: vec!["inet faspwall_trial".into()],
        then: String::new(),
    }
}

fn trial_1() -> Vec<Action> {
    let door = PathBuf::from("/run/faspwall/door.pid");
    vec![
        Action::new(
            "open TCP/33001 and UDP/33001 in inet filter input",
            nft(
                "insert rule inet filter input tcp dport 33001 accept comment \"faspwall:20261123-073112:ssh\"\n\
                     insert rule inet filter input udp dport 33001 accept comment \"faspwall:20261123-073112:fasp\"",
            ),
            vec![sweep()],
        ),
        Action::new(
            "start a second sshd on TCP/33001",
            Step::Run(Invocation::new(
                Tool::Sshd,
                ["-p", "33001", "-o", "PidFile=/run/faspwall/door.pid"],
            )),
            vec![Step::SignalPidFile {
                pid_file: door,
                comm: "sshd".into(),
                signal: Signal::Term,
            }],
        ),
        Action::new(
            "wait for sshd on TCP/33001",
            Step::AwaitTcp {
                port: 33001,
                listening: true,
                comm: "sshd".into(),
                program: None,
                families: Vec::new(),
                timeout_ms: 5000,
            },
            vec![],
        ),
    ]
}

fn commit() -> Vec<Action> {
    let dropin = PathBuf::from("/etc/ssh/sshd_config.d/60-faspwall.conf");
    vec![
        Action::new(
            "tell sshd to listen on 33001",
            Step::Write {
                path: dropin.clone(),
                content: "Port 33001\n".into(),
                mode: 0o644,
            },
            vec![Step::Remove(dropin)],
        ),
        Action::new(
            "reload sshd",
            Step::Run(Invocation::new(Tool::Systemctl, ["reload", "ssh.service"])),
            vec![Step::Run(Invocation::new(
                Tool::Systemctl,
                ["reload", "ssh.service"],
            ))],
        ),
    ]
}

pub fn change() -> Change {
    Change {
        backend: BackendId::Nftables,
        door: Some(33001),
        closing: vec![22],
        spared: Vec::new(),
        wall: false,
        fingerprint: "5f0c".into(),
        check: vec![Action::new(
            "let nft check the rules",
            Step::Run(
                Invocation::new(Tool::Nft, ["-c", "-f", "-"])
                    .with_stdin("insert rule inet filter input tcp dport 33001 accept"),
            ),
            vec![],
        )],
        trial_1: trial_1(),
        trial_2: vec![Action::new(
            "shut TCP/22 for new connections, by a timer in the kernel",
            nft("add element inet faspwall_trial shut { 22 timeout 120s }"),
            vec![sweep()],
        )],
        commit: commit(),
        opened: vec!["TCP/33001".into(), "UDP/33001".into()],
        closed: vec!["TCP/22".into()],
        files: vec![
            "/etc/nftables.d/faspwall.nft".into(),
            "/etc/ssh/sshd_config.d/60-faspwall.conf".into(),
        ],
        reverts: None,
        id: txn(),
        clocks: vec![],
        timed: vec![],
        deny: vec![],
        before: Before::default(),
        keep_22_until: None,
        requirements: vec![],
        at_liberty: vec![],
        left_to_do: vec![],
        answers: None,
        notice: None,
    }
}

fn requirement(id: &str, protocol: Protocol) -> Requirement {
    Requirement {
        id: id.into(),
        direction: Direction::In,
        protocol,
        ports: PortRange::single(33001).unwrap(),
        peers: vec![],
        group: None,
        why: "Transfers start with an SSH session on this port.".into(),
        source: "IBM Docs, HSTS 4.4, \"Configuring the firewall\"".into(),
    }
}

pub fn preview() -> Preview {
    Preview {
        answers: answers(),
        plan: Plan {
            role: "connect-server".into(),
            requirements: vec![
                requirement("ssh", Protocol::Tcp),
                requirement("fasp", Protocol::Udp),
            ],
            ssh_port: 33001,
            move_sshd: true,
            port_22: Port22::Close,
            keep_22_until: None,
        },
        change: Some(change()),
        rules: vec![
            rule(
                "ssh",
                "tcp",
                "33001",
                RuleState::Add,
                "Transfers start with an SSH session on this port.",
            ),
            rule(
                "fasp",
                "udp",
                "33001",
                RuleState::Add,
                "The data of every transfer runs over this port. No program listens on it while idle.",
            ),
            rule(
                "legacy-22",
                "tcp",
                "22",
                RuleState::Remove,
                "Port scanners knock on 22 all day; it is shut after proof.",
            ),
        ],
        cut_off: Vec::new(),
        unchanged: vec!["TCP/443 httpd".into(), "TCP/9090 cockpit".into()],
        diff: vec![
            Diff {
                name: "table inet filter (live)".into(),
                lines: vec![
                    "@@ chain input @@".into(),
                    " \ttype filter hook input priority filter; policy drop;".into(),
                    "+  tcp dport 33001 accept comment \"faspwall:20261123-073112:ssh\"".into(),
                    "+  udp dport 33001 accept comment \"faspwall:20261123-073112:fasp\"".into(),
                    "   ct state established,related accept".into(),
                    "-  tcp dport 22 accept".into(),
                ],
            },
            Diff {
                name: "/etc/ssh/sshd_config.d/60-faspwall.conf".into(),
                lines: vec!["@@ -0,0 +1 @@".into(), "+Port 33001".into()],
            },
        ],
        native: "tcp dport 33001 accept\nudp dport 33001 accept\n".into(),
        advice: vec![Advice {
            code: "FW011".into(),
            severity: Severity::Warning,
            text: "fail2ban watches port ssh only; its jail must name 33001 too.".into(),
            evidence: vec!["/etc/fail2ban/jail.local: port = ssh".into()],
            accepted: false,
        }],
        obstacles: vec![],
        unheard: vec![],
        live: None,
    }
}

/// The same, with a blocker that nobody accepted.
pub fn blocked_preview() -> Preview {
    let mut preview = preview();
    preview.answers.ssh.legacy_22 = Legacy22::Keep;
    preview.advice.insert(
        0,
        Advice {
            code: "FW001".into(),
            severity: Severity::Blocker,
            text: "TCP/22 stays reachable by everyone. Close it, or accept it by its code.".into(),
            evidence: vec![
                "0.0.0.0/0 -> TCP/22 open".into(),
                "4,812 failed logins in 24 hours".into(),
            ],
            accepted: false,
        },
    );
    preview
}
