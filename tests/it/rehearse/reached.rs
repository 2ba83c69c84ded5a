//! Who gets in, and what is reached from inside, when answers name networks, ranges and groups: a neighbour sends every
//! packet before the change is applied and after it.

use serde_json::Value;

use super::sandbox::{Sandbox, document};
use crate::boxes::Suite;

/// Two networks may come, a stretch of UDP ports and a group are used, and 22 is left to a third network.
const NAMED: &str = "schema = 1\nrole = \"connect-server\"\n\n[ssh]\nport = 33001\nlegacy_22 = \"restrict\"\n\
    restrict_22_to = [\"203.0.113.0/24\"]\n\n[fasp]\nudp = \"33001-33010\"\n\n[vlink]\nudp = 55001\n\n\
    [firewall]\nsources = [\"198.51.100.0/24\", \"2001:db8:9::/48\"]\n";
/// A host that only reaches out.
const CLIENT: &str = "schema = 1\nrole = \"client\"\n";

/// Addresses of the neighbour that are in the list.
const LISTED: [&str; 2] = ["198.51.100.9", "2001:db8:9::9"];
/// Addresses that are not.
const UNLISTED: [&str; 2] = ["203.0.113.9", "2001:db8:feed::9"];
const GROUP: &str = "224.1.2.3";

/// nftables that lets nothing in but SSH.
const NATIVE: &str = "table inet filter {\nchain input {\ntype filter hook input priority filter; policy drop;\n\
    ct state established,related accept\niif lo accept\nmeta l4proto { icmp, ipv6-icmp } accept\ntcp dport 22 accept\n}\n";
/// Nothing is let out but answers of SSH.
const NATIVE_OUT: &str = "chain output {\ntype filter hook output priority filter; policy drop;\n\
    ct state established accept\noif lo accept\nmeta l4proto { icmp, ipv6-icmp } accept\n}\n";
const UFW: &str = "ufw --force default deny incoming; ufw allow 22/tcp; ufw --force enable";
const FIREWALLD: &str = "mkdir -p /run/dbus; dbus-daemon --system --fork\nfirewalld --nopid\n\
    for i in $(seq 600); do firewall-cmd --state && break; sleep 0.1; done\n\
    firewall-cmd --zone=public --add-interface=eth0";

/// The whole list of packets, and what must become of each: `true` when it gets in.
#[derive(Default)]
struct Packets {
    words: Vec<String>,
    get_in: Vec<bool>,
}

impl Packets {
    fn add(&mut self, word: String, gets_in: bool) {
        self.words.push(word);
        self.get_in.push(gets_in);
    }

    /// What must happen once [`NAMED`] is applied.
    fn of_named() -> Self {
        let mut all = Self::default();
        for (senders, listed) in [(LISTED, true), (UNLISTED, false)] {
            for from in senders {
                all.add(format!("tcp/33001/{from}"), listed);
                for port in [33001, 33005, 33010] {
                    all.add(format!("udp/{port}/{from}"), listed);
                }
                // Neighbours of the range, and its ports over the other protocol.
                for other in ["udp/33000", "udp/33011", "tcp/33002", "tcp/33010"] {
                    all.add(format!("{other}/{from}"), false);
                }
                // Only the third network is left 22.
                all.add(format!("tcp/22/{from}"), from == "203.0.113.9");
            }
            let [from, _] = senders;
            all.add(format!("udp/55001/{from}/{GROUP}"), listed);
            all.add(format!("udp/55002/{from}/{GROUP}"), false);
            all.add(format!("udp/55001/{from}"), false);
        }
        all
    }

    /// Ports to answer on: everything that is asked, so that a silence is the firewall's.
    fn ports(&self) -> Vec<String> {
        let mut ports: Vec<String> = self
            .words
            .iter()
            .map(|word| match word.split('/').collect::<Vec<_>>()[..] {
                [protocol, port, _, group] => format!("{protocol}/{port}/{group}"),
                [protocol, port, ..] => format!("{protocol}/{port}"),
                _ => panic!("{word}"),
            })
            .collect();
        ports.sort();
        ports.dedup();
        ports
    }

    /// Fails for each packet that does something else.
    fn assert_become(&self, found: &[String], wanted: impl Fn(&str, bool) -> bool, when: &str) {
        assert_eq!(self.words.len(), found.len(), "{when}: {found:?}");
        let wrong: Vec<String> = self
            .words
            .iter()
            .zip(&self.get_in)
            .zip(found)
            .filter(|((word, gets_in), found)| (*found == "accept") != wanted(word, **gets_in))
            .map(|((word, _), found)| format!("{word}: {found}"))
            .collect();
        assert!(wrong.is_empty(), "{when}:\n{}", wrong.join("\n"));
    }
}

/// A rehearsal of the answers that goes well, its own sweep of all ports included.
fn rehearse(server: &Sandbox, answers: &str) -> Value {
    server.put("/run/answers.toml", answers);
    let rules = server.rules();
    let told = document(&server.faspwall(&["rehearse", "-f", "/run/answers.toml", "--json"]));
    assert_eq!(told["ok"], true, "{told:#}");
    assert_eq!(told["undo"], Value::Array(vec![]), "{told:#}");
    assert_eq!(server.rules(), rules, "a rehearsal changes nothing");
    told
}

/// Does it for good.
fn apply(server: &Sandbox) {
    let applied = server.faspwall(&["apply", "-f", "/run/answers.toml", "--no-confirm"]);
    assert!(applied.ok(), "{applied:?}");
    let again = server.faspwall(&["plan", "-f", "/run/answers.toml", "--exit-code"]);
    assert_eq!(again.status, Some(0), "nothing is left to do: {again:?}");
}

fn only_those_who_are_named(server: &Sandbox) {
    let packets = Packets::of_named();
    let ask = |when: &str, wanted: &dyn Fn(&str, bool) -> bool| {
        let mut echo = server.serve(&packets.ports());
        let found = server.ask(&packets.words);
        echo.kill().expect("it ran");
        echo.wait().expect("it ended");
        packets.assert_become(&found, wanted, when);
    };
    ask("before", &|word, _| word.starts_with("tcp/22/"));
    rehearse(server, NAMED);
    apply(server);
    ask("after", &|_, gets_in| gets_in);
}

#[test]
fn on_nftables_only_the_named_networks_ports_and_groups_are_let_in() {
    only_those_who_are_named(&Sandbox::nft(&format!("{NATIVE}}}\n")));
}

#[test]
fn in_ufw_only_the_named_networks_ports_and_groups_are_let_in() {
    only_those_who_are_named(&Sandbox::debian(Suite::Trixie, UFW));
}

#[test]
fn in_firewalld_only_the_named_networks_ports_and_groups_are_let_in() {
    only_those_who_are_named(&Sandbox::debian(Suite::Bookworm, FIREWALLD));
}

/// Ports of the neighbour that a client uses, and one beside each.
const OUT: [(&str, u16, bool); 4] = [
    ("tcp", 33001, true),
    ("udp", 33001, true),
    ("tcp", 33002, false),
    ("udp", 33002, false),
];

/// The client tries its server, with what is done in between to let it.
fn a_client_reaches_its_server_after(server: &Sandbox, change: impl FnOnce()) {
    let ways = [("10.9.8.7", "10.9.8.1"), ("fd09::7", "fd09::1")];
    let mut packets = Packets::default();
    let mut ports = Vec::new();
    for (protocol, port, wanted) in OUT {
        for (from, to) in ways {
            packets.add(format!("{protocol}/{port}/{from}/{to}"), wanted);
            ports.push(format!("{protocol}/{port}/{to}"));
        }
    }
    let mut echo = server.neighbour_serves(&ports);
    packets.assert_become(&server.ask_from_inside(&packets.words), |_, _| false, "before");
    change();
    packets.assert_become(
        &server.ask_from_inside(&packets.words),
        |_, wanted| wanted,
        "after",
    );
    echo.kill().expect("it ran");
    echo.wait().expect("it ended");
}

fn a_client_reaches_its_server(server: &Sandbox) {
    a_client_reaches_its_server_after(server, || {
        let told = rehearse(server, CLIENT);
        let outbound = told["cells"].as_array().expect("cells").iter();
        assert!(
            outbound.filter(|cell| cell["direction"] == "out").count() >= 4,
            "{told:#}"
        );
        apply(server);
    });
}

#[test]
fn a_client_behind_nftables_that_lets_nothing_out_reaches_its_server() {
    a_client_reaches_its_server(&Sandbox::nft(&format!("{NATIVE}{NATIVE_OUT}}}\n")));
}

#[test]
fn a_client_behind_a_ufw_that_lets_nothing_out_reaches_its_server() {
    let load = format!("{UFW}; ufw default deny outgoing");
    a_client_reaches_its_server(&Sandbox::debian(Suite::Bookworm, &load));
}

/// Policies of firewalld are left alone: what they hold back is named, and once the operator has let it through there is
/// nothing left to do.
#[test]
fn a_client_behind_a_policy_of_firewalld_is_told_what_to_let_through() {
    let policy = "firewall-cmd --permanent --new-policy=out\n\
        firewall-cmd --permanent --policy=out --add-ingress-zone=HOST\n\
        firewall-cmd --permanent --policy=out --add-egress-zone=ANY\n\
        firewall-cmd --permanent --policy=out --set-target=DROP\nfirewall-cmd --reload\n\
        firewall-cmd --zone=public --add-interface=eth0";
    let server = Sandbox::debian(Suite::Trixie, &format!("{FIREWALLD}\n{policy}"));
    server.put("/run/answers.toml", CLIENT);
    a_client_reaches_its_server_after(&server, || {
        let rules = server.rules();
        let told = server.faspwall(&["apply", "-f", "/run/answers.toml", "--no-confirm"]);
        assert_eq!(told.status, Some(9), "{told:?}");
        for part in ["the policy out of firewalld", "TCP/33001", "UDP/33001"] {
            assert!(told.stderr.contains(part), "{part}: {told:?}");
        }
        assert_eq!(server.rules(), rules, "a refused apply changes nothing");
        for when in ["--policy=out", "--permanent --policy=out"] {
            let let_through = format!("firewall-cmd {when} --add-port=33001/tcp --add-port=33001/udp");
            assert!(server.run(&["sh", "-c", &let_through]).ok());
        }
        let plan = server.faspwall(&["plan", "-f", "/run/answers.toml", "--exit-code"]);
        assert_eq!(plan.status, Some(0), "{plan:?}");
    });
}
