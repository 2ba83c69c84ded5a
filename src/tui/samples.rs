//! A host, a plan and a change as they occur, for the tests of the wizard: built through the real types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::advice::{Advice, Severity};
use crate::answers::{Answers, Daemon, Firewall, HttpPorts, Legacy22, Ssh};
use crate::catalogue::{Need, NeedDefault, PortAnswer, Role};
use crate::change::{Before, Change, Diff, Preview, RuleLine, RuleState};
use crate::facts::{
    Activation, AsperaFacts, BackendFact, BackendId, BootFacts, ChainFact, Facts, Foreign, InboundDefault,
    Listener, Observations, Os, Session, SshFacts, Via,
};
use crate::plan::{Plan, Port22, Requirement};
use crate::port::{Direction, PortRange, Protocol};
use crate::step::{Action, Invocation, Signal, Step, Tool};
use crate::transaction::{Kept, Outcome, Phase, PortStatus, Progress, Status, Trial, TxnId};
use crate::tui::Shared;

pub const TXN: &str = "20261123-073112";

pub fn txn() -> TxnId {
    TxnId::new(TXN).unwrap()
}

pub fn answers() -> Answers {
    Answers {
        role: "connect-server".into(),
        ssh: Ssh {
            port: 33001,
            legacy_22: Legacy22::Close,
            restrict_22_to: vec![],
            daemon: Daemon::Move,
        },
        fasp_udp: PortRange::single(33001).unwrap(),
        http_fallback: HttpPorts::default(),
        web_ui: HttpPorts::default(),
        node_api: None,
        vlink: None,
        firewall: Firewall::default(),
        accept: vec![],
        extra: vec![],
    }
}

fn need(id: &str, protocol: Protocol, ports: &str, answer: PortAnswer, default: NeedDefault) -> Need {
    Need {
        id: id.into(),
        direction: Direction::In,
        protocol,
        ports: ports.into(),
        answer,
        default,
        group: None,
        peers: vec![],
        condition: String::new(),
        why: "Transfers start with an SSH session on this port.".into(),
        source: "IBM Docs, HSTS 4.4, \"Configuring the firewall\"".into(),
    }
}

pub fn roles() -> Vec<Role> {
    let role = |id: &str, name: &str, summary: &str, needs| Role {
        id: id.into(),
        name: name.into(),
        aliases: vec![],
        summary: summary.into(),
        needs,
    };
    let base = vec![
        need(
            "ssh",
            Protocol::Tcp,
            "33001",
            PortAnswer::SshPort,
            NeedDefault::On,
        ),
        need(
            "fasp",
            Protocol::Udp,
            "33001",
            PortAnswer::FaspUdp,
            NeedDefault::On,
        ),
        need(
            "fallback-http",
            Protocol::Tcp,
            "8080",
            PortAnswer::FallbackHttp,
            NeedDefault::Off,
        ),
        need(
            "fallback-https",
            Protocol::Tcp,
            "8443",
            PortAnswer::FallbackHttps,
            NeedDefault::Off,
        ),
    ];
    let mut connect = base.clone();
    connect.push(need(
        "web-http",
        Protocol::Tcp,
        "80",
        PortAnswer::WebHttp,
        NeedDefault::Off,
    ));
    connect.push(need(
        "web-https",
        Protocol::Tcp,
        "443",
        PortAnswer::WebHttps,
        NeedDefault::Off,
    ));
    connect.push(need(
        "vlink",
        Protocol::Udp,
        "55001",
        PortAnswer::VlinkUdp,
        NeedDefault::Off,
    ));
    vec![
        role(
            "enterprise-server",
            "Enterprise Server",
            "Sends and receives; several users at once.",
            base,
        ),
        role(
            "connect-server",
            "Connect Server",
            "Enterprise Server with a web UI for browsers.",
            connect,
        ),
        role("client", "Client", "Only sends out; nothing is opened.", vec![]),
    ]
}

pub fn backend(id: BackendId, version: Option<&str>, active: bool, reason: &str) -> BackendFact {
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
        backends: vec![
            backend(
                BackendId::Nftables,
                Some("1.0.6"),
                true,
                "inet filter input drops what no rule names",
            ),
            backend(BackendId::Iptables, Some("1.8.9"), false, "no rules"),
            backend(BackendId::Ufw, None, false, "not installed"),
            backend(BackendId::Firewalld, None, false, "not installed"),
        ],
        backend: Some(BackendId::Nftables),
        refusal: None,
        inbound_default: InboundDefault::Drop,
        chains: vec![
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
        ],
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
        },
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
        observations: Observations {
            nft_json: None,
            nft_error: None,
            outputs: BTreeMap::new(),
        },
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

fn action(say: &str, step: Step, undo: Vec<Step>) -> Action {
    Action {
        say: say.into(),
        step,
        undo,
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

pub fn change() -> Change {
    let dropin = PathBuf::from("/etc/ssh/sshd_config.d/60-faspwall.conf");
    let door = PathBuf::from("/run/faspwall/door.pid");
    Change {
        backend: BackendId::Nftables,
        door: Some(33001),
        closing: vec![22],
        fingerprint: "5f0c".into(),
        check: vec![action(
            "let nft check the rules",
            Step::Run(
                Invocation::new(Tool::Nft, ["-c", "-f", "-"])
                    .with_stdin("insert rule inet filter input tcp dport 33001 accept"),
            ),
            vec![],
        )],
        trial_1: vec![
            action(
                "open TCP/33001 and UDP/33001 in inet filter input",
                nft(
                    "insert rule inet filter input tcp dport 33001 accept comment \"faspwall:20261123-073112:ssh\"\n\
                     insert rule inet filter input udp dport 33001 accept comment \"faspwall:20261123-073112:fasp\"",
                ),
                vec![sweep()],
            ),
            action(
                "start a second sshd on TCP/33001",
                Step::Run(Invocation::new(
                    Tool::Sshd,
                    ["-p", "33001", "-o", "PidFile=/run/faspwall/door.pid"],
                )),
                vec![Step::SignalPidFile {
                    pid_file: door.clone(),
                    comm: "sshd".into(),
                    signal: Signal::Term,
                }],
            ),
            action(
                "wait for sshd on TCP/33001",
                Step::AwaitTcp {
                    port: 33001,
                    listening: true,
                    comm: "sshd".into(),
                    timeout_ms: 5000,
                },
                vec![],
            ),
        ],
        trial_2: vec![action(
            "shut TCP/22 for new connections, by a timer in the kernel",
            nft("add element inet faspwall_trial shut { 22 timeout 120s }"),
            vec![sweep()],
        )],
        commit: vec![
            action(
                "tell sshd to listen on 33001",
                Step::Write {
                    path: dropin.clone(),
                    content: "Port 33001\n".into(),
                    mode: 0o644,
                },
                vec![Step::Remove(dropin)],
            ),
            action(
                "reload sshd",
                Step::Run(Invocation::new(Tool::Systemctl, ["reload", "ssh.service"])),
                vec![Step::Run(Invocation::new(
                    Tool::Systemctl,
                    ["reload", "ssh.service"],
                ))],
            ),
        ],
        opened: vec!["TCP/33001".into(), "UDP/33001".into()],
        closed: vec!["TCP/22".into()],
        files: vec![
            "/etc/nftables.d/faspwall.nft".into(),
            "/etc/ssh/sshd_config.d/60-faspwall.conf".into(),
        ],
        reverts: None,
        id: txn(),
        clocks: vec![],
        deny: vec![],
        before: Before::default(),
        requirements: vec![],
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
        unchanged: vec!["TCP/443 httpd".into(), "TCP/9090 cockpit".into()],
        diff: vec![
            Diff {
                name: "table inet filter (live)".into(),
                lines: vec![
                    "@@ chain input @@".into(),
                    "   type filter hook input priority filter; policy drop;".into(),
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

pub fn trial(number: u8, left_s: u64) -> Trial {
    Trial {
        txn: txn(),
        trial: number,
        code: "7431".into(),
        left_ms: left_s * 1000,
        window_s: 120,
        deadline: "2026-11-23T07:33:12Z".into(),
        door: Some(33001),
        closing: if number == 2 { vec![22] } else { vec![] },
        next: "ssh -p 33001 admin@203.0.113.20, then: faspwall confirm 7431".into(),
        logins: vec![],
        refused: 0,
        keep_allowed: false,
    }
}

pub fn seen(mut trial: Trial) -> Trial {
    trial.logins = vec!["admin from 10.0.0.7".into()];
    trial.refused = 12;
    trial.keep_allowed = true;
    trial
}

pub fn outcome(kept: bool) -> Outcome {
    Outcome {
        txn: txn(),
        kept,
        reason: if kept {
            "Confirmed by admin from 10.0.0.7 on port 33001".into()
        } else {
            "Nobody confirmed within 120 s".into()
        },
        at: "2026-11-23T07:33:12Z".into(),
        opened: vec!["TCP/33001".into(), "UDP/33001".into()],
        closed: vec!["TCP/22".into()],
        differs: vec![],
        remaining: vec![],
        files: change().files,
        log: "/var/lib/faspwall/20261123-073112/journal".into(),
    }
}

pub fn incomplete() -> Outcome {
    Outcome {
        reason: "nft failed while the rules were taken away".into(),
        differs: vec!["+ inet filter input: tcp dport 33001 accept".into()],
        remaining: vec![
            "nft delete rule inet filter input handle 44".into(),
            "nft delete table inet faspwall_trial".into(),
        ],
        ..outcome(false)
    }
}

pub fn steps(phase: Phase) -> Progress {
    Progress::Steps {
        phase,
        say: change().actions(phase).iter().map(|a| a.say.clone()).collect(),
    }
}

pub fn started(number: usize) -> Progress {
    let command = change()
        .trial_1
        .get(number)
        .map_or_else(String::new, |a| a.step.to_string());
    Progress::Started { number, command }
}

pub fn kept() -> Vec<Kept> {
    let one = |txn: &str, at: &str, what: &str, state: &str| Kept {
        txn: TxnId::new(txn).unwrap(),
        at: at.into(),
        by: "admin".into(),
        what: what.into(),
        state: state.into(),
        going_back: vec![
            "- TCP/33001  open -> closed".into(),
            "- UDP/33001  open -> closed".into(),
            "+ TCP/22     closed -> open to everyone".into(),
        ],
    };
    vec![
        one(
            TXN,
            "2026-11-23T07:31:12Z",
            "+TCP/33001 +UDP/33001 -TCP/22",
            "kept",
        ),
        one(
            "20261122-180200",
            "2026-11-22T18:02:00Z",
            "+TCP/33001 +UDP/33001",
            "rolled back",
        ),
        one(
            "20261120-091500",
            "2026-11-20T09:15:00Z",
            "+TCP/8443",
            "rolled back",
        ),
    ]
}

pub fn status() -> Status {
    let row = |port: &str, wanted: &str, is: &str, listener: &str| PortStatus {
        port: port.into(),
        wanted: wanted.into(),
        is: is.into(),
        listener: listener.into(),
    };
    Status {
        open: None,
        interrupted: None,
        applied: Some(txn()),
        applied_by: "kept by admin from 10.0.0.7 at 07:33:12".into(),
        ports: vec![
            row("TCP/33001", "open", "open", "sshd (812)"),
            row("UDP/33001", "open", "open", "-"),
            row("TCP/22", "closed", "closed", "-"),
        ],
        drift: vec![],
        backend: "nftables 1.0.6".into(),
        at_boot: "yes, nftables.service loads /etc/nftables.conf".into(),
        guard: "none".into(),
        kept: 3,
        events: vec![
            "07:33:12 kept by admin from 10.0.0.7".into(),
            "07:31:12 trial 1 began".into(),
        ],
    }
}

pub fn shared() -> Shared {
    Shared {
        answers: answers(),
        roles: roles(),
        facts: facts(),
        detected: true,
        preview: Some(Box::new(preview())),
        remembered: None,
        progress: vec![],
        status: None,
        kept: vec![],
        said: None,
        lab: false,
        window_s: 120,
        today: "2026-11-23".into(),
        answers_path: "/root/faspwall.toml".into(),
    }
}
