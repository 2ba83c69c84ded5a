//! The real firewalld, with zones, policies and direct rules at random.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::tree::{Tree, of, sh};
use super::{choices, holds, search, try_one};
use crate::boxes::Suite;

/// What is compared after undo.
const HOST: Tree = Tree {
    files: &["/etc/firewalld", "/etc/systemd/system"],
    // What is permanent is in the files, and every rule is in the kernel.
    says: "firewall-cmd --list-all-zones",
};

/// firewalld as it was installed, and not running.
const ANEW: &str = "\
[ -d /first ] || { mkdir /first; cp -a /etc/firewalld /etc/systemd/system /first; }
[ -S /run/dbus/system_bus_socket ] || { mkdir -p /run/dbus; dbus-daemon --system --fork; }
if [ -f /run/daemon ]; then
  kill $(cat /run/daemon)
  while [ -d /proc/$(cat /run/daemon) ]; do read -t 0.02 < <(:) || true; done
fi
rm -rf /etc/firewalld /etc/systemd/system /run/firewalld
cp -a /first/firewalld /etc/firewalld; cp -a /first/system /etc/systemd/system
mkdir -p /etc/firewalld/zones /etc/firewalld/services /etc/firewalld/policies
nft flush ruleset
";

/// Ends well once the daemon answers; it is the only one of its name here.
const STARTED: &str = "\
setsid firewalld --nofork --nopid > /run/said 2>&1 < /dev/null & echo $! > /run/daemon
for each in $(seq 100); do
  firewall-cmd --state > /run/state 2>&1 && break
  [ -d /proc/$(cat /run/daemon) ] || break
done
firewall-cmd --state > /dev/null 2>&1 || { cat /run/said /run/state; exit 1; }
";

/// A service of the host's own: two wanted ports and another.
const SHOP: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<service>\n  <short>Shop</short>\n  <port port=\"8080\" protocol=\"tcp\"/>\n  \
                    <port port=\"33001\" protocol=\"udp\"/>\n  <port port=\"7000-7010\" protocol=\"tcp\"/>\n</service>\n";

/// firewalld as it is before the change.
#[derive(Debug, Clone)]
struct Start {
    default: &'static str,
    /// Names of zones and their files.
    zones: Vec<(&'static str, String)>,
    /// Other files below the configuration.
    files: Vec<(&'static str, String)>,
    /// Lines of a shell before the start.
    before: Vec<&'static str>,
    /// What is told at run time only.
    told: Vec<String>,
}

impl Start {
    fn load(&self) {
        let mut text = ANEW.to_owned();
        let mut put = |path: &str, content: &str| {
            text.push_str(&format!(
                "cat > /etc/firewalld/{path} <<'CONTENT'\n{content}CONTENT\n"
            ));
        };
        put("services/shop.xml", SHOP);
        for (zone, content) in &self.zones {
            put(&format!("zones/{zone}.xml"), content);
        }
        for (path, content) in &self.files {
            put(path, content);
        }
        text.push_str(&format!(
            "sed -i 's/^DefaultZone=.*/DefaultZone={}/' /etc/firewalld/firewalld.conf\n",
            self.default
        ));
        text.push_str(&self.before.join("\n"));
        text.push('\n');
        text.push_str(STARTED);
        for line in &self.told {
            text.push_str(&format!("firewall-cmd {line} > /dev/null 2>&1 || true\n"));
        }
        sh(&text);
    }
}

const ZONES: [&str; 6] = ["public", "dmz", "internal", "drop", "trusted", "mine"];

fn item() -> impl Strategy<Value = String> {
    let tcp_or_udp = select(vec!["tcp", "udp"]);
    let port = select(vec![
        "22",
        "33001",
        "8080",
        "443",
        "20000-34000",
        "33001-33100",
        "1-65535",
        "9000",
    ]);
    prop_oneof![
        4 => select(vec!["ssh", "http", "https", "dhcpv6-client", "shop", "mdns"])
            .prop_map(|name| format!("<service name=\"{name}\"/>")),
        3 => (port, tcp_or_udp).prop_map(|(port, protocol)| format!("<port port=\"{port}\" protocol=\"{protocol}\"/>")),
        5 => rich(),
        1 => select(vec![
            "<masquerade/>",
            "<forward/>",
            "<protocol value=\"gre\"/>",
            "<protocol value=\"tcp\"/>",
            "<source-port port=\"68\" protocol=\"udp\"/>",
            "<icmp-block name=\"echo-request\"/>",
            "<icmp-block-inversion/>",
            "<forward-port port=\"9443\" protocol=\"tcp\" to-port=\"8443\"/>",
            "<forward-port port=\"33001\" protocol=\"tcp\" to-port=\"2022\" to-addr=\"10.9.9.9\"/>",
            "<!-- a note -->",
        ])
        .prop_map(str::to_owned),
    ]
}

/// A rich rule: for whom, what, and what becomes of it.
fn rich() -> impl Strategy<Value = String> {
    let who = select(vec![
        ("", ""),
        ("", ""),
        (" family=\"ipv4\"", ""),
        (" family=\"ipv6\"", ""),
        (" family=\"ipv4\"", "<source address=\"192.0.2.0/24\"/>"),
        (" family=\"ipv4\"", "<source address=\"203.0.113.7\"/>"),
        (
            " family=\"ipv4\"",
            "<source address=\"10.0.0.0/8\" invert=\"True\"/>",
        ),
        (" family=\"ipv6\"", "<source address=\"2001:db8::/32\"/>"),
        (" family=\"ipv4\"", "<destination address=\"10.9.8.7\"/>"),
    ]);
    let priority = select(vec![
        "",
        "",
        "",
        " priority=\"-10\"",
        " priority=\"10\"",
        " priority=\"-32768\"",
    ]);
    let what = select(vec![
        "<port port=\"33001\" protocol=\"tcp\"/>",
        "<port port=\"33001\" protocol=\"udp\"/>",
        "<port port=\"22\" protocol=\"tcp\"/>",
        "<port port=\"20000-40000\" protocol=\"udp\"/>",
        "<service name=\"ssh\"/>",
        "<service name=\"shop\"/>",
        "<protocol value=\"udp\"/>",
        "<source-port port=\"53\" protocol=\"udp\"/>",
        "",
    ]);
    let log = select(vec![
        "",
        "",
        "",
        "<log prefix=\"a b\" level=\"info\"><limit value=\"3/m\"/></log>",
        "<audit/>",
    ]);
    let then = select(vec![
        "<accept/>",
        "<accept/>",
        "<drop/>",
        "<reject/>",
        "<accept><limit value=\"10/m\"/></accept>",
        "<drop><limit value=\"1/s\"/></drop>",
    ]);
    (who, priority, what, log, then).prop_map(|((family, who), priority, what, log, then)| {
        // Nothing but an action is a rule with a priority only.
        let priority = if who.is_empty() && what.is_empty() && priority.is_empty() {
            " priority=\"1\""
        } else {
            priority
        };
        format!("<rule{family}{priority}>{who}{what}{log}{then}</rule>")
    })
}

/// A zone's inside: target and items.
fn zone() -> impl Strategy<Value = (&'static str, Vec<String>)> {
    (
        select(vec![
            "",
            "",
            "",
            " target=\"ACCEPT\"",
            " target=\"DROP\"",
            " target=\"%%REJECT%%\"",
        ]),
        prop::collection::vec(item(), 0..6),
    )
}

/// Zones, with two links and three networks bound to any of them.
fn zones() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let names = subsequence(ZONES.to_vec(), 1..=3);
    let inside = prop::collection::vec(zone(), 3);
    let bound = prop::collection::vec(0..5usize, 5);
    (names, inside, bound).prop_map(|(names, inside, bound)| {
        let things = [
            "<interface name=\"eth0\"/>",
            "<interface name=\"eth1\"/>",
            "<source address=\"192.0.2.0/24\"/>",
            "<source address=\"203.0.113.7\"/>",
            "<source address=\"2001:db8::/32\"/>",
        ];
        let of_zone = |at: usize| {
            let bound = things.iter().zip(&bound).filter(move |(_, zone)| **zone == at);
            bound.map(|(thing, _)| (*thing).to_owned())
        };
        let file = |at: usize, (target, items): &(&str, Vec<String>)| {
            let mut lines: Vec<String> = of_zone(at).chain(items.iter().cloned()).collect();
            // Of some elements a zone may have one only.
            let mut known: Vec<String> = Vec::new();
            lines.retain(|line| !known.contains(line) && { known.push(line.clone()); true });
            format!(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<zone{target}>\n  <short>Mine</short>\n  {}\n</zone>\n",
                lines.join("\n  ")
            )
        };
        let all = names.into_iter().zip(&inside).enumerate();
        all.map(|(at, (name, inside))| (name, file(at, inside))).collect()
    })
}

/// Policies and direct rules, seldom.
fn files() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let policy = |target: &str, from: &str, to: &str, inside: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<policy target=\"{target}\" priority=\"-5\">\n  <ingress-zone name=\"{from}\"/>\n  \
             <egress-zone name=\"{to}\"/>\n  {inside}\n</policy>\n"
        )
    };
    let direct = |rule: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<direct>\n  <rule ipv=\"ipv4\" table=\"filter\" chain=\"INPUT\" priority=\"0\">{rule}</rule>\n</direct>\n"
        )
    };
    prop_oneof![
        6 => Just(Vec::new()),
        1 => Just(vec![("policies/early.xml", policy("CONTINUE", "ANY", "HOST", "<port port=\"9999\" protocol=\"tcp\"/>"))]),
        1 => Just(vec![("policies/out.xml", policy("CONTINUE", "HOST", "ANY", "<rule><port port=\"25\" protocol=\"tcp\"/><reject/></rule>"))]),
        1 => Just(vec![("policies/shut.xml", policy("CONTINUE", "ANY", "HOST", "<rule><port port=\"33001\" protocol=\"udp\"/><drop/></rule>"))]),
        1 => Just(vec![("direct.xml", direct("-p tcp --dport 7777 -j ACCEPT"))]),
        1 => Just(vec![("direct.xml", direct("-s 203.0.113.99 -j DROP"))]),
    ]
}

fn told() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![select(vec![
        "--add-port=9001/tcp",
        "--add-service=shop",
        "--remove-service=ssh",
        "--remove-port=33001/udp",
        "--change-interface=eth1",
        "--add-source=198.51.100.0/24",
        "--add-rich-rule='rule family=ipv4 source address=203.0.113.7 drop'",
        "--add-rich-rule='rule priority=-7 port port=33001 protocol=tcp reject'",
        "--add-port=33001/tcp",
        "--add-port=9002/tcp --timeout=600",
    ])];
    let one = (select(ZONES.to_vec()), line).prop_map(|(zone, line)| format!("--zone={zone} {line}"));
    prop::collection::vec(one, 0..3)
}

fn some() -> impl Strategy<Value = Start> {
    let before = subsequence(
        vec![
            "sed -i 's/^FirewallBackend=.*/FirewallBackend=iptables/' /etc/firewalld/firewalld.conf",
            "sed -i 's/$/\\r/' /etc/firewalld/zones/public.xml 2> /dev/null || true",
            "sed -i 's/^LogDenied=.*/LogDenied=all/' /etc/firewalld/firewalld.conf",
            "nft add table inet guard; nft 'add chain inet guard in { type filter hook input priority -10; }'; \
             nft add rule inet guard in ip saddr 198.51.100.9 counter drop",
        ],
        0..=1,
    );
    let before = prop_oneof![2 => Just(Vec::new()), 1 => before];
    (select(ZONES[..5].to_vec()), zones(), files(), before, told()).prop_map(
        |(default, zones, files, before, told)| Start {
            default,
            zones,
            files,
            before,
            told,
        },
    )
}

/// Not a test by itself: what happens inside of the tree.
#[test]
fn inside() {
    let Ok(name) = std::env::var(super::ASK) else {
        return;
    };
    search(&name, (6, 50), &(some(), choices::some()), |(start, choice)| {
        start.load();
        try_one(&HOST, &choice)
    });
}

#[test]
fn any_firewalld() {
    holds("firewalld-1", of(Suite::Bookworm), "firewalld::inside");
}

#[test]
fn any_newer_firewalld() {
    holds("firewalld-2", of(Suite::Trixie), "firewalld::inside");
}
