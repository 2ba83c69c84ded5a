//! A host, a plan and a change as they occur, for the tests of the wizard: built through the real types.

mod host;
mod plan;
mod rehearsal;

use crate::answers::{Answers, AsperaConf, Daemon, Firewall, HttpPorts, Legacy22, Ssh};
use crate::catalogue::{Need, NeedDefault, PortAnswer, Role};
use crate::port::{Direction, PortRange, Protocol};
use crate::transaction::{Kept, Outcome, Phase, PortStatus, Progress, Status, Trial, TxnId};
use crate::tui::Shared;

pub use host::{csf_facts, facts, iptables_facts, open_facts, refused_facts};
pub use plan::{blocked_preview, change, preview};
pub use rehearsal::{red_rehearsal, rehearsal, shut_at_boot, swept_rehearsal};

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
            keep_22_until: None,
            daemon: Daemon::Move,
        },
        fasp_udp: PortRange::single(33001).unwrap(),
        http_fallback: HttpPorts::default(),
        web_ui: HttpPorts::default(),
        node_api: None,
        vlink: None,
        firewall: Firewall::default(),
        aspera_conf: AsperaConf::Leave,
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

fn base_needs() -> Vec<Need> {
    vec![
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
    ]
}

pub fn roles() -> Vec<Role> {
    let role = |id: &str, name: &str, summary: &str, needs| Role {
        id: id.into(),
        name: name.into(),
        aliases: vec![],
        summary: summary.into(),
        needs,
    };
    let base = base_needs();
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
        wall: false,
        next: "ssh -p 33001 admin@203.0.113.20, then: faspwall confirm 7431".into(),
        logins: vec![],
        other_logins: vec![],
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
        left_to_do: vec![],
        notice: None,
        keep_22_until: None,
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
        in_force: state.starts_with("kept"),
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
            "kept, in force",
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
        reminder: None,
        close_22: None,
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
        rehearsal: None,
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
