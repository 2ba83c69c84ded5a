//! What the program costs on every kind of firewall, beside the bare native commands that do the same: real machines,
//! whole processes, the rules of others from a hundred upwards.
//!
//! `cargo bench --bench backends` measures hosts with 100 rules; `FASPWALL_BENCH_RULES=100,1000,10000` others too, and
//! `FASPWALL_BENCH_HOSTS=nftables,ufw` some of the hosts only. From 10,000 rules on the nftables host has a set of 20,000
//! elements besides.
//!
//! Beside `plan` stands what an admin types to see the rules; beside `rehearse` the calls of `ip`, of the firewall and of
//! its list that a copy by hand takes; beside `apply` and `undo` the commands that open five ports and shut them again.
//! The program reads, keeps and compares the whole ruleset for each of these, arms a guard and writes a journal: what
//! that costs shows best where the native command does the least.
//!
//! Debian 12 in a machine of systemd-nspawn, two cores, next to nothing else running. Milliseconds.
//!
//! | host | rules | look | plan | x | copy | rehearse | x | open | apply | x | close | undo | x |
//! |---|---|---|---|---|---|---|---|---|---|---|---|---|---|
//! | nftables | 100 | 7 | 107 | 15.8 | 48 | 844 | 17.4 | 5 | 217 | 41.9 | 16 | 62 | 3.9 |
//! | nftables | 1000 | 24 | 168 | 7.0 | 153 | 1101 | 7.2 | 5 | 367 | 67.3 | 34 | 183 | 5.4 |
//! | nftables | 10000 | 353 | 1215 | 3.4 | 1770 | 5927 | 3.3 | 8 | 3117 | 391.4 | 230 | 1759 | 7.7 |
//! | iptables-nft | 100 | 6 | 121 | 20.2 | 81 | 974 | 12.1 | 6 | 281 | 43.7 | 20 | 93 | 4.6 |
//! | iptables-nft | 1000 | 11 | 239 | 21.9 | 129 | 1211 | 9.4 | 6 | 518 | 82.4 | 33 | 252 | 7.7 |
//! | iptables-nft | 10000 | 68 | 2021 | 29.6 | 495 | 5365 | 10.8 | 8 | 4036 | 513.3 | 77 | 2528 | 32.7 |
//! | iptables-legacy | 100 | 5 | 111 | 21.6 | 33 | 770 | 23.1 | 6 | 206 | 36.7 | 6 | 54 | 9.1 |
//! | iptables-legacy | 1000 | 6 | 199 | 31.2 | 42 | 941 | 22.3 | 7 | 353 | 47.9 | 7 | 137 | 19.9 |
//! | iptables-legacy | 10000 | 16 | 1279 | 77.6 | 122 | 2696 | 22.0 | 16 | 1992 | 121.9 | 15 | 1043 | 69.3 |
//! | ufw | 100 | 63 | 138 | 2.2 | 158 | 976 | 6.2 | 750 | 289 | 0.4 | 1232 | 113 | 0.1 |
//! | ufw | 1000 | 81 | 307 | 3.8 | 204 | 1331 | 6.5 | 1129 | 627 | 0.6 | 1640 | 314 | 0.2 |
//! | ufw | 10000 | 263 | 2517 | 9.6 | 701 | 6320 | 9.0 | 4679 | 5013 | 1.1 | 5767 | 2732 | 0.5 |
//! | firewalld | 100 | 191 | 308 | 1.6 | 1986 | 2242 | 1.1 | 497 | 812 | 1.6 | 500 | 278 | 0.6 |
//! | firewalld | 1000 | 181 | 409 | 2.3 | 4048 | 4589 | 1.1 | 1342 | 1398 | 1.0 | 1313 | 550 | 0.4 |
//! | firewalld | 10000 | 211 | 2953 | 14.0 | 24265 | 31035 | 1.3 | 9068 | 8898 | 1.0 | 8625 | 3240 | 0.4 |
//!
//! Of a rehearsal at 100 rules half a second are two pauses in which a dropped packet must stay unanswered; the rest is some
//! sixty short processes. At 10,000 rules nft itself takes more than half.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    dead_code,
    unused_imports,
    reason = "a bench prepares its own machines with the tests' harness, and needs only a part of it"
)]

#[path = "../tests/it/boxes/mod.rs"]
mod boxes;

use std::fmt::Write as _;

use boxes::{Machine, Suite};

/// Only the firewall is asked for: sshd and TCP/22 stay as they are, so that the native commands are comparable.
const ANSWERS: &str = "schema = 1\nrole = \"connect-server\"\naccept = [\"FW001\", \"FW002\"]\n\n[ssh]\nport = 33001\nlegacy_22 = \"keep\"\ndaemon = \"leave\"\n\n[http_fallback]\nhttps = 8443\n\n[web_ui]\nhttp = 80\nhttps = 443\n";
/// Measurements of each kind; the shortest counts, for whatever else runs on this host only adds to it.
const RUNS: usize = 3;

/// From so many rules on there is a set of addresses, too.
const MANY: u32 = 10_000;
/// So many addresses are in it.
const ELEMENTS: u32 = 20_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Nftables,
    IptablesNft,
    IptablesLegacy,
    Ufw,
    Firewalld,
}

impl Host {
    const ALL: [Self; 5] = [
        Self::Nftables,
        Self::IptablesNft,
        Self::IptablesLegacy,
        Self::Ufw,
        Self::Firewalld,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::IptablesNft => "iptables-nft",
            Self::IptablesLegacy => "iptables-legacy",
            Self::Ufw => "ufw",
            Self::Firewalld => "firewalld",
        }
    }

    /// Loads a default-drop policy with that many rules of others.
    fn prepare(self, machine: &Machine, rules: u32) {
        match self {
            Self::Nftables => nftables(machine, rules),
            Self::IptablesNft => iptables(machine, "nft", rules),
            Self::IptablesLegacy => iptables(machine, "legacy", rules),
            Self::Ufw => ufw(machine, rules),
            Self::Firewalld => firewalld(machine, rules),
        }
    }

    /// What an admin would type to see the rules; to open the five ports; to take them away again.
    fn native(self) -> [&'static str; 3] {
        match self {
            Self::Nftables => [
                "nft -j list ruleset >/dev/null",
                "for p in 'tcp dport 33001' 'udp dport 33001' 'tcp dport 80' 'tcp dport 443' 'tcp dport 8443'; do echo \"insert rule inet filter input $p accept comment \\\"bench\\\"\"; done | nft -f -",
                "nft -a list chain inet filter input | sed -n 's/.*\"bench\" # handle \\([0-9]*\\)$/delete rule inet filter input handle \\1/p' | nft -f -",
            ],
            Self::IptablesNft => [IPTABLES_SAVE, IPTABLES_ADD, IPTABLES_DELETE],
            Self::IptablesLegacy => [IPTABLES_SAVE, IPTABLES_ADD, IPTABLES_DELETE],
            Self::Ufw => [
                "ufw status >/dev/null",
                "for p in 33001/tcp 33001/udp 80/tcp 443/tcp 8443/tcp; do ufw allow $p; done >/dev/null",
                "for p in 33001/tcp 33001/udp 80/tcp 443/tcp 8443/tcp; do ufw delete allow $p; done >/dev/null",
            ],
            Self::Firewalld => [
                "firewall-cmd --list-all-zones >/dev/null",
                "P='--add-port=33001/tcp --add-port=33001/udp --add-port=80/tcp --add-port=443/tcp --add-port=8443/tcp'; firewall-cmd -q $P; firewall-cmd -q --permanent $P",
                "P='--remove-port=33001/tcp --remove-port=33001/udp --remove-port=80/tcp --remove-port=443/tcp --remove-port=8443/tcp'; firewall-cmd -q $P; firewall-cmd -q --permanent $P",
            ],
        }
    }

    /// A rehearsal by hand: the rules are read, copied, changed, changed back, and read before and after.
    fn by_hand(self) -> String {
        let [look, add, take] = self.native();
        let copy = match self {
            Self::Nftables => format!("nft list ruleset >/tmp/copy\n{CABLE}\nnft -f /tmp/copy"),
            Self::IptablesNft | Self::IptablesLegacy | Self::Ufw => format!(
                "iptables-save >/tmp/copy; ip6tables-save >/tmp/copy6\n{CABLE}\niptables-restore </tmp/copy; ip6tables-restore </tmp/copy6"
            ),
            // Zones are made by a daemon: this one is started anew, and then told what a copy would be told.
            Self::Firewalld => String::from("systemctl restart firewalld\nfirewall-cmd -q --state\n{"),
        };
        // What ufw itself would do changes the files of this host: its rules are those of iptables.
        let [look, add, take] = match self {
            Self::Ufw => [IPTABLES_SAVE, IPTABLES_ADD, IPTABLES_DELETE],
            _ => [look, add, take],
        };
        let end = if self == Self::Firewalld { "}" } else { "END" };
        format!(
            "{}\n{copy}\n{look}\n{add}\n{take}\n{look}\n{end}\n",
            self.native()[0]
        )
    }
}

/// Opens a shell in a namespace with a cable in it.
const CABLE: &str = "unshare --net --mount sh -e <<'END'\nip link add near0 type veth peer name far0\nip address add 192.0.2.1/24 dev near0\nip link set near0 up\nip link set far0 up";
const IPTABLES_SAVE: &str = "iptables-save >/dev/null; ip6tables-save >/dev/null";
const IPTABLES_ADD: &str = "for t in iptables ip6tables; do { echo '*filter'; for p in 'tcp --dport 33001' 'udp --dport 33001' 'tcp --dport 80' 'tcp --dport 443' 'tcp --dport 8443'; do echo \"-I INPUT -p $p -j ACCEPT\"; done; echo COMMIT; } | $t-restore --noflush; done";
const IPTABLES_DELETE: &str = "for t in iptables ip6tables; do { echo '*filter'; for p in 'tcp --dport 33001' 'udp --dport 33001' 'tcp --dport 80' 'tcp --dport 443' 'tcp --dport 8443'; do echo \"-D INPUT -p $p -j ACCEPT\"; done; echo COMMIT; } | $t-restore --noflush; done";

fn address(n: u32) -> String {
    format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

fn nftables(machine: &Machine, rules: u32) {
    let mut text = String::from("flush ruleset\ntable inet filter {\n");
    if rules >= MANY {
        let banned = (0..ELEMENTS).map(|n| format!("172.{}.{}.{}", 16 + (n >> 16), n >> 8 & 255, n & 255));
        let banned: Vec<String> = banned.collect();
        let _ = writeln!(
            text,
            " set banned {{\n type ipv4_addr\n elements = {{ {} }}\n }}",
            banned.join(", ")
        );
    }
    text.push_str(
        " chain input {\n type filter hook input priority 0; policy drop;\n ct state established,related accept\n iif lo accept\n tcp dport 22 accept\n",
    );
    if rules >= MANY {
        text.push_str(" ip saddr @banned drop\n");
    }
    for n in 0..rules {
        let _ = writeln!(text, " ip saddr {} tcp dport 9999 accept", address(n));
    }
    text.push_str(" }\n}\n");
    machine.put("/etc/nftables.conf", text, 0o755);
    machine.ok(&["systemctl", "enable", "--quiet", "nftables"]);
    machine.ok(&["nft", "-f", "/etc/nftables.conf"]);
}

fn iptables(machine: &Machine, variant: &str, rules: u32) {
    let mut text = String::from(
        "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n",
    );
    machine.sh(&format!(
        "dpkg --purge ufw && DEBIAN_FRONTEND=noninteractive dpkg -i {}/*.deb",
        boxes::PACKAGES_DIR
    ));
    let head = text.clone();
    for n in 0..rules {
        let _ = writeln!(
            text,
            "-A INPUT -s {}/32 -p tcp -m tcp --dport 9999 -j ACCEPT",
            address(n)
        );
    }
    text.push_str("COMMIT\n");
    machine.put("/etc/iptables/rules.v4", &text, 0o640);
    machine.put("/etc/iptables/rules.v6", format!("{head}COMMIT\n"), 0o640);
    for (plain, family) in [("iptables", "4"), ("ip6tables", "6")] {
        let program = format!("/usr/sbin/{plain}-{variant}");
        machine.ok(&["update-alternatives", "--set", plain, &program]);
        let restore = format!("{plain}-{variant}-restore");
        machine.ok(&[&restore, &format!("/etc/iptables/rules.v{family}")]);
    }
    machine.run(&["systemctl", "enable", "--quiet", "netfilter-persistent"]);
}

fn ufw(machine: &Machine, rules: u32) {
    machine.ok(&["ufw", "allow", "22/tcp"]);
    machine.ok(&["ufw", "--force", "enable"]);
    machine.ok(&["systemctl", "enable", "--quiet", "ufw"]);
    // Written as ufw writes them: a call for each takes most of a second.
    let mut lines = String::new();
    for n in 0..rules {
        let from = address(n);
        let _ = write!(
            lines,
            "### tuple ### allow tcp 9999 0.0.0.0/0 any {from} in\\n-A ufw-user-input -p tcp --dport 9999 -s {from} -j ACCEPT\\n\\n"
        );
    }
    let script = format!("s|^### END RULES ###|{lines}### END RULES ###|");
    machine.put("/root/filler.sed", script, 0o600);
    machine.ok(&["sed", "-i", "-f", "/root/filler.sed", "/etc/ufw/user.rules"]);
    machine.ok(&["ufw", "reload"]);
}

fn firewalld(machine: &Machine, rules: u32) {
    machine.ok(&["systemctl", "start", "firewalld"]);
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<zone>\n  <short>Public</short>\n  <service name=\"ssh\"/>\n",
    );
    for n in 0..rules {
        let _ = writeln!(
            text,
            "  <rule family=\"ipv4\"><source address=\"{}\"/><port port=\"9999\" protocol=\"tcp\"/><accept/></rule>",
            address(n)
        );
    }
    text.push_str("</zone>\n");
    machine.put("/etc/firewalld/zones/public.xml", text, 0o644);
    machine.ok(&["firewall-cmd", "--reload"]);
    machine.ok(&["systemctl", "enable", "--quiet", "firewalld"]);
}

/// Milliseconds that a shell takes inside the machine for the commands, its start included on both sides.
fn millis(machine: &Machine, commands: &str) -> f64 {
    machine.put("/root/commands", commands, 0o600);
    let printed = machine
        .sh("a=$(date +%s%N); sh -e /root/commands >/tmp/out 2>&1; s=$?; b=$(date +%s%N); echo $((b-a)) $s");
    let mut words = printed.split_whitespace();
    let nanos: f64 = words.next().and_then(|n| n.parse().ok()).expect("nanoseconds");
    let status = words.next().unwrap_or_default();
    assert_eq!(
        status,
        "0",
        "{commands}: {}",
        machine.get("/tmp/out").unwrap_or_default()
    );
    nanos / 1e6
}

fn shortest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn measure(host: Host, rules: u32) {
    let machine = Machine::boot(Suite::Bookworm);
    machine.install();
    machine.put("/root/answers.toml", ANSWERS, 0o600);
    host.prepare(&machine, rules);
    let [look, add, take] = host.native();
    let commands = [
        look,
        "faspwall plan -f /root/answers.toml --json",
        &host.by_hand(),
        "faspwall rehearse -f /root/answers.toml --json",
        add,
        "faspwall apply -f /root/answers.toml --no-rehearsal --json",
        take,
        "faspwall rollback --json",
    ];
    // An order in which each command finds what it works on: by hand first, then the program.
    const ORDER: [usize; 8] = [0, 1, 2, 3, 4, 6, 5, 7];
    let mut times: [Vec<f64>; 8] = Default::default();
    for index in std::iter::repeat_n(ORDER, RUNS).flatten() {
        if let (Some(list), Some(command)) = (times.get_mut(index), commands.get(index)) {
            list.push(millis(&machine, command));
        }
    }
    let mut line = format!("| {} | {rules} ", host.name());
    for pair in times.chunks(2) {
        let [native, ours] = [&pair[0], &pair[1]].map(|list| shortest(list));
        let _ = write!(line, "| {native:.0} | {ours:.0} | {:.1} ", ours / native);
    }
    println!("{line}|");
}

fn main() {
    let chosen = |variable: &str, usual: &str| {
        let text = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
        text.split(',')
            .map(|word| word.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let hosts = chosen(
        "FASPWALL_BENCH_HOSTS",
        "nftables,iptables-nft,iptables-legacy,ufw,firewalld",
    );
    println!("milliseconds, the shortest of {RUNS}: by hand, the program, the ratio\n");
    println!(
        "| host | rules | look | plan | x | copy | rehearse | x | open | apply | x | close | undo | x |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for host in Host::ALL
        .into_iter()
        .filter(|host| hosts.iter().any(|name| name == host.name()))
    {
        for rules in chosen("FASPWALL_BENCH_RULES", "100")
            .iter()
            .filter_map(|word| word.parse().ok())
        {
            measure(host, rules);
        }
    }
}
