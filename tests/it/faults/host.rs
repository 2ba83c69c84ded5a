//! The hosts that are attacked, and what is seen of them from inside and outside.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::boxes::{Family, Machine, Ran, Suite, seconds, wait};
use crate::moves;

/// Files that must be the same again.
const FILES: [&str; 8] = [
    "/etc/ssh",
    "/etc/nftables.conf",
    "/etc/nftables.d",
    "/etc/iptables",
    "/etc/ufw",
    "/etc/default/ufw",
    "/etc/firewalld",
    "/etc/systemd/system",
];

/// Where the seam reads its orders.
pub const DIR: &str = "/var/lib/faspwall-faults";

/// Whose firewall it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firewall {
    /// A ruleset of nft.
    Nftables,
    /// Rules of iptables, kept in nftables.
    IptablesNft,
    /// Rules of iptables, kept the old way.
    IptablesLegacy,
    /// ufw.
    Ufw,
    /// firewalld.
    Firewalld,
}

impl Firewall {
    /// As the tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::IptablesNft => "iptables-nft",
            Self::IptablesLegacy => "iptables-legacy",
            Self::Ufw => "ufw",
            Self::Firewalld => "firewalld",
        }
    }

    fn boot(self) -> Machine {
        use moves::iptables::{CLOUD_4, CLOUD_6};
        let iptables = |variant| moves::iptables::server(Suite::Bookworm, variant, CLOUD_4, CLOUD_6);
        match self {
            Self::Nftables => moves::server(Suite::Bookworm),
            Self::IptablesNft => iptables("nft"),
            Self::IptablesLegacy => iptables("legacy"),
            Self::Ufw => moves::ufw::server(Suite::Bookworm),
            Self::Firewalld => moves::firewalld::guarded(Suite::Bookworm),
        }
    }

    /// What the owner's own tools say of the rules, in the kernel and on the disk.
    fn rules(self) -> &'static str {
        const SAVES: &str = "for s in iptables-nft-save ip6tables-nft-save; do $s; done 2>/dev/null \
             | sed '/^#/d; s/\\[[0-9:]*\\]//'; \
             for f in ip ip6; do if grep -q . /proc/net/${f}_tables_names 2>/dev/null; then \
             echo $f; ${f}tables-legacy-save | sed '/^#/d; s/\\[[0-9:]*\\]//'; fi; done";
        match self {
            Self::Nftables => "nft -s list ruleset",
            Self::IptablesNft | Self::IptablesLegacy => SAVES,
            Self::Ufw => {
                "for s in iptables-save ip6tables-save; do $s; done 2>/dev/null \
                 | sed '/^#/d; s/\\[[0-9:]*\\]//'; ufw status numbered"
            }
            Self::Firewalld => {
                "nft -s list ruleset; firewall-cmd --zone=dmz --list-all; \
                 firewall-cmd --permanent --zone=dmz --list-all"
            }
        }
    }
}

/// What a host is like after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As before.
    Before,
    /// As committed.
    Committed,
}

/// A host under attack.
pub struct Host {
    /// Whose.
    pub firewall: Firewall,
    /// The machine.
    pub machine: Machine,
    /// What it is like before any move.
    before: String,
    /// What it is like after a move that was kept, at once and after the next boot.
    committed: [String; 2],
    /// Its addresses, after a look that packets to them go through its cable.
    addresses: Vec<IpAddr>,
}

impl Host {
    /// A fresh one, which has seen one whole move there and back.
    pub fn boot(firewall: Firewall) -> Self {
        let machine = firewall.boot();
        machine.sh(&format!(
            "mkdir -p {DIR} /var/lib/faspwall; chmod 700 {DIR} /var/lib/faspwall"
        ));
        let mut host = Self {
            firewall,
            machine,
            before: String::new(),
            committed: Default::default(),
            addresses: Vec::new(),
        };
        // What only lives until the next boot would be lost by every loss of power.
        host.machine.reboot();
        host.await_firewall();
        host.before = host.picture();
        for program in ["apply", "confirm", "confirm"] {
            moves::document(&host.run(program));
        }
        host.committed[0] = host.picture();
        host.lose_power();
        host.committed[1] = host.picture();
        host.go_back();
        assert_eq!(host.settle(seconds(20)), Ok(Outcome::Before));
        host.forget();
        host
    }

    fn await_firewall(&mut self) {
        let address = |family| self.machine.address(family).parse().expect("an address");
        self.addresses = [Family::V4, Family::V6].map(address).into();
        if self.firewall == Firewall::Firewalld {
            wait("firewalld", seconds(30), || {
                self.machine.run(&["firewall-cmd", "--state"]).ok().then_some(())
            });
        }
    }

    /// The plug is pulled, and the machine switched on again.
    pub fn lose_power(&mut self) {
        self.machine.power_loss();
        self.machine.power_on();
        self.await_firewall();
    }

    /// The words of a command, as typed at a console.
    pub fn words(program: &str) -> Vec<&str> {
        let rest: &[&str] = match program {
            "apply" => &[
                "-f",
                "/root/answers.toml",
                "--confirm-within",
                "60s",
                "--no-rehearsal",
            ],
            "confirm" => &["keep"],
            _ => &[],
        };
        [&["faspwall", program], rest, &["--json"]].concat()
    }

    /// Runs a command at a console.
    pub fn run(&self, program: &str) -> Ran {
        self.machine.run(&Self::words(program))
    }

    /// Takes a committed move back.
    pub fn go_back(&self) {
        for program in ["rollback", "confirm", "confirm"] {
            moves::document(&self.run(program));
        }
    }

    /// Old transactions only cost time.
    pub fn forget(&self) {
        let dir = self.machine.inside("/var/lib/faspwall");
        for entry in fs::read_dir(dir).expect("the state directory").flatten() {
            if entry.file_name().to_string_lossy().starts_with('2') {
                fs::remove_dir_all(entry.path()).expect("a transaction that is over");
            }
        }
    }

    /// What the seam is told to do.
    pub fn order(&self, orders: &Value) {
        for name in ["met", "paused", "go", "trace"] {
            let _ = fs::remove_file(self.machine.inside(&format!("{DIR}/{name}")));
        }
        self.machine
            .put(&format!("{DIR}/orders.json"), orders.to_string(), 0o600);
    }

    /// The program works as built for everybody.
    pub fn no_orders(&self) {
        self.order(&json!({}));
    }

    /// What the seam left there.
    pub fn mark(&self, name: &str) -> Option<String> {
        self.machine.get(&format!("{DIR}/{name}"))
    }

    /// Rules, files, listeners and units: what must be as before or as committed. Names of transactions differ between
    /// two moves, and so does what only counts or passes: a guard's timer, too, which finds nothing to do and goes.
    pub fn picture(&self) -> String {
        let rest = "ss -Hltn | awk '{print $4}' | sort; \
             systemctl list-units --all --plain --no-legend 'faspwall*' \
             | awk '$3 != \"inactive\" && $1 !~ /guard.*timer/ {print $1, $3}'";
        let script = format!("{}; {rest}", self.firewall.rules());
        let mut text = self.machine.run(&["sh", "-c", &script]).stdout;
        for path in FILES {
            self.file(path, &mut text);
        }
        // ufw keeps comments as hexadecimal digits.
        let names = regex_lite::Regex::new(r"\d{8}-\d{6}|comment=66617370[0-9a-f]+").expect("an expression");
        names.replace_all(&text, "ID").into_owned()
    }

    /// A file as it is, or all files of a directory.
    fn file(&self, path: &str, text: &mut String) {
        let inside = self.machine.inside(path);
        let Ok(about) = fs::symlink_metadata(&inside) else {
            return;
        };
        if about.is_dir() {
            let entries = fs::read_dir(&inside).into_iter().flatten().flatten();
            let mut names: Vec<String> = entries
                .map(|e| e.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            for name in names {
                self.file(&format!("{path}/{name}"), text);
            }
        } else if about.is_file() && !path.ends_with(".old") {
            let mode = about.permissions().mode() & 0o7777;
            let content = fs::read(&inside).unwrap_or_default();
            let content = String::from_utf8_lossy(&content);
            let content = if content.len() < 100_000 {
                content.as_ref()
            } else {
                "(long)"
            };
            let _ = write!(text, "\n== {path} {mode:o} {}\n{content}", about.len());
        }
    }

    /// Waits until the host is as before or as committed; says which, or how it differs from the nearer one.
    pub fn settle(&self, patience: Duration) -> Result<Outcome, String> {
        let start = Instant::now();
        loop {
            let now = self.picture();
            if now == self.before {
                return Ok(Outcome::Before);
            }
            if self.committed.contains(&now) {
                return Ok(Outcome::Committed);
            }
            if start.elapsed() > patience {
                let [old, new] = [&self.before, &self.committed[0]].map(|old| {
                    similar::TextDiff::from_lines(old, &now)
                        .unified_diff()
                        .to_string()
                });
                return Err(if old.len() <= new.len() {
                    format!("nearer to before:\n{old}")
                } else {
                    format!("nearer to committed:\n{new}")
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn greets(address: SocketAddr) -> bool {
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(1500)) else {
            return false;
        };
        let mut greeting = [0; 4];
        stream.set_read_timeout(Some(seconds(3))).is_ok()
            && stream.read_exact(&mut greeting).is_ok()
            && greeting == *b"SSH-"
    }

    /// Whether nobody is locked out: in both families an sshd greets from outside on one of the two ports.
    pub fn reachable(&self) -> Result<(), String> {
        for &address in &self.addresses {
            let start = Instant::now();
            loop {
                let (tell, told) = std::sync::mpsc::channel();
                for port in [22, 33001] {
                    let tell = tell.clone();
                    std::thread::spawn(move || {
                        let _ = tell.send(Self::greets(SocketAddr::new(address, port)));
                    });
                }
                drop(tell);
                if told.iter().any(|greeted| greeted) {
                    break;
                }
                // A busy host may take its time; a locked one stays locked until the deadline.
                if start.elapsed() > seconds(4) {
                    return Err(format!("no sshd greets at {address} on 22 or 33001"));
                }
            }
        }
        Ok(())
    }
}
