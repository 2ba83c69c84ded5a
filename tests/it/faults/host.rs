//! The hosts that are attacked, and what is seen of them from inside and outside.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::point::BACK;
use super::watch::{Watch, greets};
use crate::boxes::{Family, Machine, Ran, Suite, seconds};
use crate::moves;

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
    /// nft on Debian 13, where systemd holds sshd's socket.
    Socket,
    /// nft, where a move in two has kept TCP/22: its second step is attacked.
    Close22,
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
            Self::Socket => "socket-debian-13",
            Self::Close22 => "close-22",
        }
    }

    /// The command that begins its move.
    pub fn first(self) -> &'static str {
        if self == Self::Close22 {
            "close-22"
        } else {
            "apply"
        }
    }

    fn boot(self) -> Machine {
        use moves::iptables::{CLOUD_4, CLOUD_6};
        let iptables = |variant| moves::iptables::server(Suite::Bookworm, variant, CLOUD_4, CLOUD_6);
        match self {
            Self::Nftables | Self::Close22 => moves::server(Suite::Bookworm),
            Self::Socket => socket(),
            Self::IptablesNft => iptables("nft"),
            Self::IptablesLegacy => iptables("legacy"),
            Self::Ufw => moves::ufw::server(Suite::Bookworm),
            Self::Firewalld => moves::firewalld::guarded(Suite::Bookworm),
        }
    }
}

/// Debian 13 behind a socket of systemd; its sshd would turn away who asks again and again without a name.
fn socket() -> Machine {
    let machine = moves::server(Suite::Trixie);
    machine.sh(
        "echo 'PerSourcePenalties no' >>/etc/ssh/sshd_config; systemctl disable --quiet --now ssh.service; \
         systemctl enable --quiet --now ssh.socket",
    );
    machine
}

/// Answers that keep TCP/22 for a while.
const KEEPING: &str = "schema = 1\nrole = \"connect-server\"\naccept = [\"FW001\"]\n\n[ssh]\nport = 33001\nlegacy_22 = \"keep\"\n";

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
    /// Which it is at this moment, between two cases.
    pub state: Outcome,
    /// Who asks from outside while a case is under way.
    pub watch: Option<Watch>,
    /// What it is like before any move.
    before: String,
    /// What it is like after a move that was kept, at once and after the next boot.
    committed: [String; 2],
    /// Its addresses, after a look that packets to them go through its cable.
    pub addresses: Vec<IpAddr>,
    /// Transactions that are part of what it is like before any move.
    pub kept: Vec<String>,
    /// What a clean move and the way back do, as the seam has seen it.
    pub trace: String,
    /// What their steps say of themselves: `trial1 0` and so on; with `way back, ` before it for that.
    pub steps: Vec<(String, String)>,
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
            state: Outcome::Before,
            watch: None,
            before: String::new(),
            committed: Default::default(),
            addresses: Vec::new(),
            kept: Vec::new(),
            trace: String::new(),
            steps: Vec::new(),
        };
        if firewall == Firewall::Close22 {
            host.machine.put("/root/answers.toml", KEEPING, 0o600);
            host.whole("apply");
            host.kept = host.transactions();
        }
        // What only lives until the next boot would be lost by every loss of power.
        host.machine.reboot();
        host.await_firewall();
        // Locks and directories of its own are there from the first command on.
        moves::status(&host.machine);
        host.before = host.picture();
        host.order(&json!({"trace": true}));
        host.whole(firewall.first());
        host.learn(false);
        host.committed[0] = host.picture();
        host.lose_power();
        host.committed[1] = host.picture();
        host.order(&json!({"trace": true}));
        host.whole("rollback");
        host.learn(true);
        host.no_orders();
        // What firewalld had written before it wrote again is left by any change.
        let old = |text: &str| {
            let ours = |line: &&str| !(line.starts_with("== /etc/firewalld/") && line.contains(".old "));
            text.lines()
                .filter(ours)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let start = Instant::now();
        while old(&host.picture()) != old(&host.before) {
            if start.elapsed() > seconds(20) {
                panic!(
                    "the way there and back leaves:\n{}",
                    diff(&host.before, &host.picture())
                );
            }
        }
        host.before = host.picture();
        host.forget();
        host
    }

    /// Keeps what the seam has seen of a move or of the way back, and what the steps of it say of themselves.
    fn learn(&mut self, back: bool) {
        let seen = self.mark("trace").expect("a trace");
        let (mark, way) = if back { (BACK, "way back, ") } else { ("", "") };
        self.trace
            .extend(seen.lines().map(|line| format!("{mark}{line}\n")));
        let last = self.transactions().into_iter().max().expect("a transaction");
        let journal = self
            .machine
            .get(&format!("/var/lib/faspwall/{last}/journal.jsonl"));
        let journal = journal.expect("a journal");
        let begin: Value = serde_json::from_str(journal.lines().next().expect("a line")).expect("a journal");
        for (phase, name) in [("trial1", "trial_1"), ("trial2", "trial_2"), ("commit", "commit")] {
            for (number, action) in (0..).zip(begin["change"][name].as_array().expect("actions")) {
                let say = action["say"].as_str().expect("what it says");
                let number: u32 = number;
                self.steps
                    .push((format!("{way}{phase} {number}"), say.to_owned()));
            }
        }
    }

    /// A whole move or way back, with as many confirmations as it wants.
    pub fn whole(&self, program: &str) {
        let mut document = moves::document(&self.run(program));
        while document["state"] != "committed" {
            assert_eq!(document["state"], "awaiting-confirmation", "{document}");
            document = moves::document(&self.run("confirm"));
        }
    }

    /// The commands of the whole move, or of the way back.
    pub fn course(&self, back: bool) -> [&'static str; 3] {
        let first = if back { "rollback" } else { self.firewall.first() };
        [first, "confirm", "confirm"]
    }

    /// The change in force that a case may have made, as the status tells it.
    pub fn applied(&self, told: &Value) -> bool {
        told["applied"]
            .as_str()
            .is_some_and(|id| !self.kept.iter().any(|kept| kept == id))
    }

    /// The transactions that are kept on its disk.
    pub fn transactions(&self) -> Vec<String> {
        let dir = self.machine.inside("/var/lib/faspwall");
        let entries = fs::read_dir(dir).expect("the state directory").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with('2')).collect()
    }

    fn await_firewall(&mut self) {
        let address = |family| self.machine.address(family).parse().expect("an address");
        self.addresses = [Family::V4, Family::V6].map(address).into();
        if self.firewall == Firewall::Firewalld {
            moves::firewalld::wait_for_daemon(&self.machine);
        }
    }

    /// The plug is pulled, and the machine switched on again.
    pub fn lose_power(&mut self) {
        self.pull_the_plug();
        self.machine.power_on();
        self.power_is_back();
    }

    /// Pulls it; from here on nobody can answer.
    pub fn pull_the_plug(&mut self) {
        self.blind(true);
        self.machine.power_loss();
    }

    /// The machine is up again: from here on somebody has to answer.
    pub fn power_is_back(&mut self) {
        self.await_firewall();
        self.blind(false);
    }

    /// Tells who watches that nobody can answer, or can again.
    pub fn blind(&self, blind: bool) {
        if let Some(watch) = &self.watch {
            watch.blind(blind);
        }
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
            "close-22" => &["--confirm-within", "60s", "--no-rehearsal"],
            "confirm" => &["keep"],
            _ => &[],
        };
        [&["faspwall", program], rest, &["--json"]].concat()
    }

    /// Runs a command at a console.
    pub fn run(&self, program: &str) -> Ran {
        self.machine.run(&Self::words(program))
    }

    /// Old transactions only cost time; the one in force stays.
    pub fn forget(&self) {
        self.forget_but(&moves::status(&self.machine));
    }

    /// The same where the status is known.
    pub fn forget_but(&self, told: &Value) {
        let applied = told["applied"].as_str().unwrap_or_default();
        for name in self.transactions() {
            if name != applied && !self.kept.contains(&name) {
                let path = self.machine.inside(&format!("/var/lib/faspwall/{name}"));
                fs::remove_dir_all(path).expect("a transaction that is over");
            }
        }
    }

    /// Makes it what a case begins with: as before, or as committed for the way back.
    pub fn turn_to(&mut self, committed: bool) -> Result<(), String> {
        let (program, wanted) = match committed {
            true => (self.firewall.first(), Outcome::Committed),
            false => ("rollback", Outcome::Before),
        };
        if self.state == wanted {
            return Ok(());
        }
        self.no_orders();
        for program in [program, "confirm", "confirm"] {
            let ran = self.run(program);
            if !ran.ok() {
                return Err(format!(
                    "{program} without a fault, from {:?}: {ran:?}",
                    self.state
                ));
            }
            if moves::document(&ran)["state"] == "committed" {
                break;
            }
        }
        match self.settle(seconds(8))? {
            outcome if outcome == wanted => self.state = wanted,
            outcome => {
                return Err(format!(
                    "{program} without a fault leaves the host as {outcome:?}"
                ));
            }
        }
        self.forget();
        Ok(())
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
                let [old, new] = [&self.before, &self.committed[0]].map(|old| diff(old, &now));
                return Err(if old.len() <= new.len() {
                    format!("nearer to before:\n{old}")
                } else {
                    format!("nearer to committed:\n{new}")
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
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
                        let _ = tell.send(greets(
                            SocketAddr::new(address, port),
                            Duration::from_millis(1500),
                        ));
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

fn diff(old: &str, new: &str) -> String {
    similar::TextDiff::from_lines(old, new).unified_diff().to_string()
}
