//! What the program costs on every kind of firewall, beside the bare native commands that do the same: real machines,
//! whole processes, the rules of others from a hundred upwards.
//!
//! `cargo bench --bench backends` measures hosts with 100 rules; `FASPWALL_BENCH_RULES=100,1000,10000` others too.
//! A set of 20,000 elements is measured with the largest of them.
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
const ANSWERS: &str = "schema = 1\nrole = \"connect-server\"\naccept = [\"FW001\", \"FW002\"]\n\n[ssh]\nport = 33001\nlegacy_22 = \"keep\"\ndaemon = \"leave\"\n";
/// Measurements of each kind; the median counts.
const RUNS: usize = 3;

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
            Self::IptablesNft => [
                "iptables-nft-save >/dev/null; ip6tables-nft-save >/dev/null",
                IPTABLES_ADD,
                IPTABLES_DELETE,
            ],
            Self::IptablesLegacy => [
                "iptables-legacy-save >/dev/null; ip6tables-legacy-save >/dev/null",
                IPTABLES_ADD,
                IPTABLES_DELETE,
            ],
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
}

const IPTABLES_ADD: &str = "for t in iptables ip6tables; do { echo '*filter'; for p in 'tcp --dport 33001' 'udp --dport 33001' 'tcp --dport 80' 'tcp --dport 443' 'tcp --dport 8443'; do echo \"-I INPUT -p $p -j ACCEPT\"; done; echo COMMIT; } | $t-restore --noflush; done";
const IPTABLES_DELETE: &str = "for t in iptables ip6tables; do { echo '*filter'; for p in 'tcp --dport 33001' 'udp --dport 33001' 'tcp --dport 80' 'tcp --dport 443' 'tcp --dport 8443'; do echo \"-D INPUT -p $p -j ACCEPT\"; done; echo COMMIT; } | $t-restore --noflush; done";

fn address(n: u32) -> String {
    format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

fn nftables(machine: &Machine, rules: u32) {
    let mut text = String::from(
        "flush ruleset\ntable inet filter {\n chain input {\n type filter hook input priority 0; policy drop;\n ct state established,related accept\n iif lo accept\n tcp dport 22 accept\n",
    );
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

/// Milliseconds that a command takes inside the machine, the start of a shell included on both sides.
fn millis(machine: &Machine, command: &str) -> f64 {
    let script =
        format!("a=$(date +%s%N); {{ {command}; }} >/tmp/out 2>&1; s=$?; b=$(date +%s%N); echo $((b-a)) $s");
    let printed = machine.sh(&script);
    let mut words = printed.split_whitespace();
    let nanos: f64 = words.next().and_then(|n| n.parse().ok()).expect("nanoseconds");
    let status = words.next().unwrap_or_default();
    assert_eq!(
        status,
        "0",
        "{command}: {}",
        machine.get("/tmp/out").unwrap_or_default()
    );
    nanos / 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn measure(host: Host, rules: u32, label: &str) {
    let machine = Machine::boot(Suite::Bookworm);
    machine.install();
    machine.put("/root/answers.toml", ANSWERS, 0o600);
    host.prepare(&machine, rules);
    let [look, add, take] = host.native();
    let mut times: [Vec<f64>; 7] = Default::default();
    for _ in 0..RUNS {
        let commands = [
            look,
            add,
            take,
            "faspwall plan -f /root/answers.toml --json",
            "faspwall rehearse -f /root/answers.toml --json",
            "faspwall apply -f /root/answers.toml --no-rehearsal --json",
            "faspwall rollback --json",
        ];
        for (list, command) in times.iter_mut().zip(commands) {
            list.push(millis(&machine, command));
        }
    }
    let [look, add, take, plan, rehearse, apply, undo] = times.map(median);
    let whole = millis(
        &machine,
        "faspwall apply -f /root/answers.toml --no-confirm --no-rehearsal --json",
    );
    println!(
        "{:<16}{label:>9} | look {look:>6.0} plan {plan:>6.0} ({:>4.1}x) | rehearse {rehearse:>6.0} | open {add:>6.0} apply {apply:>6.0} ({:>4.1}x) | close {take:>6.0} undo {undo:>6.0} ({:>4.1}x) | to the commit {whole:>6.0}",
        host.name(),
        plan / look,
        apply / add,
        undo / take,
    );
}

fn main() {
    let sizes = std::env::var("FASPWALL_BENCH_RULES").unwrap_or_else(|_| String::from("100"));
    let sizes: Vec<u32> = sizes
        .split(',')
        .filter_map(|word| word.trim().parse().ok())
        .collect();
    println!("milliseconds, median of {RUNS}; native beside ours, and the ratio");
    for host in Host::ALL {
        for rules in &sizes {
            measure(host, *rules, &format!("{rules} rules"));
        }
    }
}
