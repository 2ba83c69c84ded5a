//! Answers at random, valid by construction.

use faspwall::answers::{ADVICE_CODES, Answers, Daemon, Legacy22, Outbound, Vlink};
use faspwall::catalogue::{Catalogue, PortAnswer, Role};
use faspwall::port::PortRange;
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// What is chosen; every port has a stretch of numbers of its own, so that none swallows another.
#[derive(Debug, Clone)]
pub struct Choice {
    role: String,
    /// The SSH port.
    pub ssh: u16,
    old: Legacy22,
    spared: Vec<IpNet>,
    udp: (u16, u16),
    fallback: Option<u16>,
    vlink: bool,
    sources: Vec<IpNet>,
    outbound: Outbound,
}

fn networks() -> Vec<IpNet> {
    [
        "192.0.2.0/24",
        "203.0.113.7/32",
        "10.64.0.0/10",
        "2001:db8::/32",
        "2001:db8:1::7/128",
    ]
    .map(|net| net.parse().expect("a network"))
    .into()
}

/// Any choice.
pub fn some() -> impl Strategy<Value = Choice> + use<> {
    let roles: Vec<String> = Catalogue::builtin()
        .roles
        .iter()
        .map(|role| role.id.clone())
        .collect();
    let nets = || subsequence(networks(), 0..=5);
    let ports = (
        prop_oneof![Just(33_001u16), Just(22), 20_000u16..30_000],
        prop_oneof![
            Just((33_001u16, 33_001u16)),
            (33_100u16..34_000, 0u16..200).prop_map(|(first, more)| (first, first + more)),
        ],
        prop::option::of(8_080u16..8_400),
    );
    let rest = (
        prop_oneof![
            3 => Just(Legacy22::Close),
            1 => Just(Legacy22::Keep),
            1 => Just(Legacy22::Restrict),
        ],
        subsequence(networks(), 1..=3),
        any::<bool>(),
        nets(),
        select(vec![Outbound::Auto, Outbound::Always, Outbound::Never]),
        prop::bool::weighted(0.1),
    );
    (select(roles), ports, rest).prop_map(|(role, (ssh, udp, fallback), rest)| {
        let (old, spared, vlink, sources, outbound, may_be_idle) = rest;
        let mut choice = Choice {
            role,
            ssh,
            old,
            spared,
            udp,
            fallback,
            vlink,
            sources,
            outbound,
        };
        if !may_be_idle {
            choice.ask_for_something();
        }
        choice
    })
}

impl Choice {
    /// Answers that ask for nothing on most hosts are tried now and then only: a host that only reaches out where nothing
    /// is held back, one that takes nothing but SSH on the port that it has.
    fn ask_for_something(&mut self) {
        let role = Catalogue::builtin().role(&self.role).expect("a role");
        if !role.takes_ssh() && !self.vlink {
            self.outbound = Outbound::Always;
        }
        if role.takes_ssh() && !role.uses(PortAnswer::FaspUdp) && self.ssh == 22 {
            self.ssh = 33_001;
        }
    }

    /// The answers. Every advice is accepted: what is tried is the firewall's part.
    pub fn answers(&self) -> Answers {
        let catalogue = Catalogue::builtin();
        let role: &Role = catalogue.role(&self.role).expect("a role");
        let mut answers = Answers::for_role(role);
        answers.ssh.daemon = Daemon::Leave;
        if role.takes_ssh() {
            answers.ssh.port = self.ssh;
            answers.ssh.legacy_22 = if self.ssh == 22 { Legacy22::Keep } else { self.old };
            if answers.ssh.legacy_22 == Legacy22::Restrict {
                answers.ssh.restrict_22_to.clone_from(&self.spared);
            }
        }
        if role.uses(PortAnswer::FaspUdp) {
            answers.fasp_udp = PortRange::new(self.udp.0, self.udp.1).expect("a range");
        }
        if role.uses(PortAnswer::FallbackHttp) {
            answers.http_fallback.http = self.fallback;
            answers.http_fallback.https = self.fallback.map(|port| port + 400);
        }
        // A group is IPv4, so somebody of that family must be allowed to come.
        let reached = self.sources.is_empty() || self.sources.iter().any(|net| matches!(net, IpNet::V4(_)));
        if role.uses(PortAnswer::VlinkUdp) && self.vlink && reached {
            answers.vlink = Some(Vlink::default());
        }
        answers.firewall.sources.clone_from(&self.sources);
        answers.firewall.outbound = self.outbound;
        answers.accept = ADVICE_CODES.iter().map(ToString::to_string).collect();
        let mistakes = answers.check(catalogue);
        assert!(mistakes.is_empty(), "{self:?}: {mistakes:?}");
        answers
    }
}
