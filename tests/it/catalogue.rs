//! The built-in catalogue beside the vendor's own facts, written down here once more and independently.

use faspwall::answers::Answers;
use faspwall::catalogue::{Catalogue, NeedDefault};
use faspwall::port::Direction;

/// A role's ports without those that stay on loopback: `in tcp 33001 on`.
fn open_ports(role: &str) -> Vec<String> {
    let role = Catalogue::builtin().role(role).expect("a role");
    let mut ports: Vec<String> = role
        .needs
        .iter()
        .filter(|need| need.default != NeedDefault::Loopback)
        .map(|need| {
            let group = need
                .group
                .as_ref()
                .map_or(String::new(), |group| format!(" to {group}"));
            let key = need.answer.key().unwrap_or("-");
            format!(
                "{} {} {} {} {key}{group}",
                need.direction,
                need.protocol,
                need.ports,
                need.default.as_str()
            )
        })
        .collect();
    ports.sort();
    ports
}

fn sorted(lines: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    lines.sort();
    lines
}

const VLINK: [&str; 2] = [
    "in udp 55001 off vlink.udp to 224.0.0.0/4",
    "out udp 55001 off vlink.udp to 224.0.0.0/4",
];
const SERVER: [&str; 2] = ["in tcp 33001 on ssh.port", "in udp 33001 on fasp.udp"];
const NODE_API: &str = "in tcp 9092 off node_api.https";

#[test]
fn the_vendors_table_of_three_products() {
    let enterprise = [&SERVER[..], &VLINK, &[NODE_API]].concat();
    assert_eq!(open_ports("enterprise-server"), sorted(&enterprise));
    let connect = [
        &SERVER[..],
        &VLINK,
        &[
            NODE_API,
            "in tcp 8080 off http_fallback.http",
            "in tcp 8443 off http_fallback.https",
            "out tcp 8080 off http_fallback.http",
            "out tcp 8443 off http_fallback.https",
            "in tcp 80 off web_ui.http",
            "in tcp 443 off web_ui.https",
        ],
    ]
    .concat();
    assert_eq!(open_ports("connect-server"), sorted(&connect));
    let client = [
        &VLINK[..],
        &["out tcp 33001 on ssh.port", "out udp 33001 on fasp.udp"],
    ]
    .concat();
    assert_eq!(open_ports("client"), sorted(&client));
}

#[test]
fn todays_servers() {
    let hsts = [
        &SERVER[..],
        &VLINK,
        &[
            NODE_API,
            "in tcp 8080 off http_fallback.http",
            "in tcp 8443 off http_fallback.https",
            "in tcp 443 off -",
            "in tcp 9093 off -",
            "out tcp 443 off -",
        ],
    ]
    .concat();
    assert_eq!(open_ports("high-speed-transfer-server"), sorted(&hsts));
    let hste = [
        &SERVER[..],
        &VLINK,
        &[NODE_API, "in tcp 9093 off -", "out tcp 443 off -"],
    ]
    .concat();
    assert_eq!(open_ports("endpoint"), sorted(&hste));
}

#[test]
fn the_hosts_around_the_servers() {
    let tables: [(&str, &[&str]); 6] = [
        (
            "console",
            &[
                "in tcp 443 on web_ui.https",
                "in tcp 80 off web_ui.http",
                "in tcp 4406 off -",
                "out tcp 33001 on ssh.port",
                "out tcp 9092 on node_api.https",
                "out tcp 40001 off -",
            ],
        ),
        (
            "faspex",
            &[
                "in tcp 33001 on ssh.port",
                "in udp 33001 on fasp.udp",
                "in tcp 443 on web_ui.https",
                "in tcp 80 off web_ui.http",
                "out tcp 9092 off node_api.https",
            ],
        ),
        (
            "shares",
            &[
                "in tcp 443 on web_ui.https",
                "in tcp 80 off web_ui.http",
                "out tcp 9092 on node_api.https",
            ],
        ),
        (
            "forward-proxy",
            &[
                "in tcp 9091 on -",
                "in tcp 9092 on -",
                "in tcp 5000-10000 on -",
                "in udp 5000-10000 on -",
                "out tcp 33001 on ssh.port",
                "out udp 33001 on fasp.udp",
            ],
        ),
        ("reverse-proxy", &SERVER),
        (
            "tethered-node",
            &[
                "in tcp 33001 on ssh.port",
                "in udp 33001 on fasp.udp",
                "in tcp 443 on -",
                "out tcp 443 off -",
            ],
        ),
    ];
    for (role, wanted) in tables {
        assert_eq!(open_ports(role), sorted(wanted), "{role}");
    }
    let node = Catalogue::builtin().role("transfer-node").expect("a role");
    assert_eq!(node.need("node-api").expect("there").default, NeedDefault::On);
}

#[test]
fn loopback_ports_are_known_where_they_run() {
    let loopback = |role: &str| -> Vec<&str> {
        let role = Catalogue::builtin().role(role).expect("a role");
        let needs = role
            .needs
            .iter()
            .filter(|need| need.default == NeedDefault::Loopback);
        needs.map(|need| need.ports.as_str()).collect()
    };
    assert_eq!(loopback("connect-server"), ["40001", "9091", "31415", "31416"]);
    assert_eq!(loopback("client"), ["33003", "55002"]);
    assert_eq!(
        loopback("tethered-node"),
        ["40001", "9091", "31415", "31416", "28000"]
    );
}

#[test]
fn only_the_clouds_own_networks_reach_a_tethered_node_on_443() {
    let role = Catalogue::builtin().role("AoC node").expect("an alias");
    let need = role.need("tethered-https").expect("there");
    assert_eq!(need.peers.len(), 11);
    assert!(need.peers.iter().all(|net| net.trunc() == *net));
    assert!(role.need("fasp").expect("there").peers.is_empty());
}

#[test]
fn every_port_has_a_reason_and_a_document_of_the_vendor() {
    for role in &Catalogue::builtin().roles {
        for need in &role.needs {
            let place = format!("{} {}", role.id, need.id);
            assert!(
                need.why.len() > 20 && need.why.ends_with('.'),
                "{place}: {}",
                need.why
            );
            assert!(
                need.source.contains(" <http") && need.source.ends_with('>'),
                "{place}: {}",
                need.source
            );
        }
    }
}

#[test]
fn names_old_and_new_lead_to_the_role() {
    let catalogue = Catalogue::builtin();
    for (name, id) in [
        ("connect-server", "connect-server"),
        ("Connect Server", "connect-server"),
        ("ES", "enterprise-server"),
        ("hsts", "high-speed-transfer-server"),
        ("High-Speed Transfer Server", "high-speed-transfer-server"),
        ("high speed transfer endpoint", "endpoint"),
        ("Point-to-Point", "endpoint"),
        ("P2P", "endpoint"),
        ("Desktop Client", "client"),
        ("connect", "client"),
        ("FASP Proxy", "forward-proxy"),
    ] {
        assert_eq!(
            catalogue.role(name).map(|role| role.id.as_str()),
            Some(id),
            "{name}"
        );
    }
    assert!(catalogue.role("web server").is_none());
    assert_eq!(catalogue.nearest_role("conect-server"), Some("connect-server"));
    assert_eq!(
        catalogue.nearest_role("enterprize-server"),
        Some("enterprise-server")
    );
}

#[test]
fn udp_ranges_follow_the_platform() {
    let catalogue = Catalogue::builtin();
    let range = |system: &str, reuse, sessions, accounts| {
        let rule = catalogue
            .udp_rule(system, reuse)
            .expect("a rule for every system");
        rule.range(33_001, sessions, accounts).expect("fits").to_string()
    };
    // The vendor's own examples: ten on Windows, ten with several accounts on a Mac.
    assert_eq!(range("windows", None, 10, 1), "33001-33010");
    assert_eq!(range("macos", None, 10, 2), "33001-33010");
    assert_eq!(range("macos", None, 10, 1), "33001");
    assert_eq!(range("freebsd", None, 20, 2), "33001-33020");
    assert_eq!(range("debian", None, 100, 9), "33001");
    assert_eq!(range("rocky", Some(true), 100, 9), "33001");
    assert_eq!(range("rocky", Some(false), 100, 1), "33001-33100");
    let windows = catalogue.udp_rule("windows", None).expect("a rule");
    assert!(windows.range(65_530, 10, 1).is_err());
    assert_eq!(
        windows.range(33_001, 0, 1).expect("one at least").to_string(),
        "33001"
    );
}

#[test]
fn defaults_of_a_role_pass_their_own_rules() {
    let catalogue = Catalogue::builtin();
    for role in &catalogue.roles {
        let answers = Answers::for_role(role);
        assert_eq!(answers.check(catalogue), [], "{}", role.id);
    }
}

/// The table of the change log is what an operator's change request quotes: it must say what the catalogue says.
#[test]
fn the_change_log_lists_what_the_catalogue_opens() {
    let log = include_str!("../../CHANGELOG.md");
    for role in &Catalogue::builtin().roles {
        let cell = |direction, default| {
            let needs = role
                .needs
                .iter()
                .filter(|need| need.direction == direction && need.default == default);
            let ports: Vec<_> = needs
                .map(|need| format!("{} {}", need.protocol.to_string().to_uppercase(), need.ports))
                .collect();
            if ports.is_empty() {
                String::new()
            } else {
                format!(" {}", ports.join(", "))
            }
        };
        let line = format!(
            "| `{}` |{} |{} |{} |{} |",
            role.id,
            cell(Direction::In, NeedDefault::On),
            cell(Direction::In, NeedDefault::Off),
            cell(Direction::Out, NeedDefault::On),
            cell(Direction::Out, NeedDefault::Off),
        );
        assert!(
            log.lines().any(|candidate| candidate == line),
            "missing in CHANGELOG.md:\n{line}"
        );
        for need in role
            .needs
            .iter()
            .filter(|need| need.default == NeedDefault::Loopback)
        {
            assert!(
                log.contains(&format!(" {}", need.ports)),
                "{} is not mentioned",
                need.ports
            );
        }
    }
}
