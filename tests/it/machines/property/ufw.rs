//! The real ufw, with rules of its operator and of others at random.

use proptest::prelude::*;
use proptest::sample::select;

use super::tree::{Tree, of, sh};
use super::{choices, holds, search, try_one};
use crate::boxes::Suite;

/// What is compared after undo.
const HOST: Tree = Tree {
    files: &["/etc/ufw", "/etc/default/ufw", "/etc/systemd/system"],
    says: "ufw status numbered; ufw status verbose",
};

/// ufw as it was installed, whatever was done to it since.
const ANEW: &str = "\
[ -d /first ] || { mkdir /first; cp -a /etc/ufw /etc/systemd/system /first; cp -a /etc/default/ufw /first/defaults; }
rm -rf /etc/ufw /etc/systemd/system
cp -a /first/ufw /etc/ufw; cp -a /first/system /etc/systemd/system; cp -a /first/defaults /etc/default/ufw
for each in iptables ip6tables; do
  $each -F; $each -X; $each -P INPUT ACCEPT; $each -P OUTPUT ACCEPT; $each -P FORWARD ACCEPT
done
nft flush ruleset
";

/// ufw's own program, many times in one process: its start takes longer than its work. A rule that it refuses is none.
const TELL: &str = r#"
import runpy, shlex, sys
for line in sys.stdin:
    sys.argv = ["ufw"] + shlex.split(line)
    try:
        runpy.run_path("/usr/sbin/ufw", run_name="__main__")
    except SystemExit:
        pass
"#;

/// ufw as it is before the change.
#[derive(Debug, Clone)]
struct Start {
    /// Lines of a shell.
    before: Vec<String>,
    /// What ufw is told.
    told: Vec<String>,
    /// What others do at run time.
    others: Vec<&'static str>,
}

impl Start {
    fn load(&self) {
        let before = self.before.join("\n");
        let told = self.told.join("\n");
        let others = self.others.join("\n");
        sh(&format!(
            "{ANEW}\n{before}\npython3 -c '{TELL}' > /dev/null 2>&1 <<'LINES'\n{told}\n--force enable\nLINES\n{others}"
        ));
    }
}

fn port() -> impl Strategy<Value = &'static str> {
    select(vec![
        "22",
        "22/tcp",
        "33001",
        "33001/tcp",
        "33001/udp",
        "8080/tcp",
        "443",
        "8080:8400/tcp",
        "33001:33100/udp",
        "20000:34000/tcp",
        "20000:34000/udp",
        "22,80,33001/tcp",
        "53/udp",
        "1:65535/tcp",
        "1:65535/udp",
    ])
}

/// The words for a port behind `port`, and for its protocol.
fn long_port() -> impl Strategy<Value = String> {
    port().prop_map(|port| {
        port.split_once('/')
            .map_or(format!("port {port}"), |(ports, protocol)| {
                format!("port {ports} proto {protocol}")
            })
    })
}

fn net() -> impl Strategy<Value = &'static str> {
    select(vec![
        "192.0.2.0/24",
        "192.0.2.7",
        "203.0.113.7",
        "203.0.113.0/24",
        "10.0.0.0/8",
        "2001:db8::/32",
        "2001:db8:1::7",
        "any",
    ])
}

/// One line as its operator would type it.
fn told() -> impl Strategy<Value = String> {
    let verb = select(vec!["allow", "allow", "deny", "limit", "reject"]);
    let place = select(vec!["", "", "", "insert 1 ", "prepend "]);
    let note = select(vec![
        "",
        "",
        "",
        " comment 'the shop: it''s \"ours\" #1'",
        " comment 'faspwall'",
    ]);
    let what = prop_oneof![
        4 => port().prop_map(str::to_owned),
        2 => net().prop_map(|net| format!("from {net}")),
        3 => (net(), long_port()).prop_map(|(net, port)| format!("from {net} to any {port}")),
        1 => long_port().prop_map(|port| format!("in on eth0 to any {port}")),
        1 => port().prop_map(|port| format!("out {port}")),
        1 => (net(), long_port()).prop_map(|(net, port)| format!("out to {net} {port}")),
        1 => long_port().prop_map(|port| format!("from any {port}")),
        1 => port().prop_map(|port| format!("log {port}")),
        1 => Just(String::from("log-all 33001/udp")),
        1 => Just(String::from("OpenSSH")),
        1 => Just(String::from("from 192.0.2.0/24 to any app OpenSSH")),
        1 => Just(String::from("proto gre from 192.0.2.9")),
        1 => Just(String::from("to 224.0.0.0/4")),
        1 => Just(String::from("to 10.9.8.7 port 22 proto tcp")),
    ];
    prop_oneof![
        12 => (place, verb, what, note).prop_map(|(place, verb, what, note)| format!("{place}{verb} {what}{note}")),
        1 => Just(String::from("route allow in on eth0 out on eth1 to any port 80 proto tcp")),
        1 => select(vec!["logging high", "logging off", "logging medium"]).prop_map(str::to_owned),
    ]
}

/// What others do to ufw's files and chains.
fn before() -> impl Strategy<Value = Vec<String>> {
    let above = |file: &str, line: &str| format!("sed -i '/^COMMIT/i {line}' /etc/ufw/{file}");
    proptest::sample::subsequence(
        vec![
            "sed -i s/^IPV6=yes/IPV6=no/ /etc/default/ufw".to_owned(),
            "sed -i 's/^IPV6=yes/IPV6=\"yes\"  # both/' /etc/default/ufw".to_owned(),
            above(
                "before.rules",
                "-A ufw-before-input -p tcp --dport 9990 -j ACCEPT",
            ),
            above("before.rules", "-A ufw-before-input -s 203.0.113.9 -j DROP"),
            above(
                "before6.rules",
                "-A ufw6-before-output -p udp --dport 123 -j ACCEPT",
            ),
            above("after.rules", "-A ufw-after-input -p tcp --dport 33001 -j DROP"),
            "printf '# a note at the end, without a newline' >> /etc/ufw/user.rules".to_owned(),
            "sed -i 's/$/\\r/' /etc/ufw/sysctl.conf".to_owned(),
        ],
        0..=2,
    )
}

fn some() -> impl Strategy<Value = Start> {
    let policy = (
        select(vec!["deny", "deny", "deny", "reject", "allow"]),
        select(vec!["allow", "allow", "deny", "reject"]),
    );
    let others = proptest::sample::subsequence(
        vec![
            "iptables -I INPUT -s 198.51.100.7 -j DROP",
            "iptables -I ufw-user-input -p tcp --dport 7070 -m comment --comment \"by hand\" -j ACCEPT",
            "ip6tables -A ufw6-user-input -p tcp --dport 7071 -j ACCEPT 2> /dev/null || true",
            "iptables -I ufw-user-input 1 -s 203.0.113.77 -j DROP",
            "iptables -N f2b-sshd; iptables -A f2b-sshd -s 203.0.113.5 -j REJECT; iptables -A f2b-sshd -j RETURN; \
             iptables -I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd",
            "nft add table inet guard; nft 'add chain inet guard in { type filter hook input priority -10; }'; \
             nft add rule inet guard in ip saddr 198.51.100.9 counter drop",
        ],
        0..=2,
    );
    let started = prop::bool::weighted(0.8);
    (
        policy,
        before(),
        prop::collection::vec(told(), 0..7),
        others,
        started,
    )
        .prop_map(|((input, output), before, lines, others, ssh)| {
            let mut told = vec![
                format!("default {input} incoming"),
                format!("default {output} outgoing"),
            ];
            told.extend(ssh.then(|| String::from("allow 22/tcp")));
            told.extend(lines);
            Start { before, told, others }
        })
}

/// Not a test by itself: what happens inside of the tree.
#[test]
fn inside() {
    let Ok(name) = std::env::var(super::ASK) else {
        return;
    };
    if name == "ufw-legacy" {
        sh("for each in iptables ip6tables; do update-alternatives --set $each /usr/sbin/$each-legacy; done");
    }
    search(&name, (8, 50), &(some(), choices::some()), |(start, choice)| {
        start.load();
        try_one(&HOST, &choice)
    });
}

#[test]
fn any_ufw() {
    holds("ufw", of(Suite::Bookworm), "ufw::inside");
}

#[test]
fn any_ufw_on_the_old_iptables() {
    holds("ufw-legacy", of(Suite::Trixie), "ufw::inside");
}
