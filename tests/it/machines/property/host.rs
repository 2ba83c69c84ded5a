//! A recorded host whose firewall is alive in this process's network namespace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use faspwall::engine::detect::detect;
use faspwall::step::{Invocation, Signal, Tool};
use faspwall::system::real::RealSystem;
use faspwall::system::replay::Replay;
use faspwall::system::{Lock, Output, System, SystemError};

use super::super::replay::open;
use super::Subject;

/// Programs that print a ruleset, and those that load it again.
const SAVES: [(&str, Tool); 4] = [
    ("iptables-nft-save", Tool::IptablesNftRestore),
    ("ip6tables-nft-save", Tool::Ip6tablesNftRestore),
    ("iptables-legacy-save", Tool::IptablesLegacyRestore),
    ("ip6tables-legacy-save", Tool::Ip6tablesLegacyRestore),
];

pub struct Host {
    recorded: Replay,
    /// Tables that no iptables knows.
    native: String,
    /// What the variants of iptables had printed, and the programs that read it.
    saves: Vec<(Tool, String)>,
    /// Files that were written or removed since.
    files: Mutex<BTreeMap<PathBuf, Option<String>>>,
}

fn real_ok(call: &Invocation) {
    let output = RealSystem.run(call).expect("it starts");
    assert!(output.ok(), "{}: {}", call.argv().join(" "), output.stderr);
}

impl Host {
    /// Loads the ruleset of a recorded host into this namespace, with the interfaces that the host has.
    pub fn load(dir: &Path) -> Self {
        let recorded = open(dir);
        let facts = detect(&recorded, &mut |_| {});
        for link in facts.links.iter().filter(|link| link.name != "lo") {
            let words = ["link", "add", &link.name, "type", "veth"];
            real_ok(&Invocation::new(Tool::Ip, words));
            real_ok(&Invocation::new(Tool::Ip, ["link", "set", &link.name, "up"]));
        }
        let mut saves = Vec::new();
        let mut tables = Vec::new();
        for (save, restore) in SAVES {
            let Some(text) = facts.observations.outputs.get(save) else {
                continue;
            };
            let family = if save.starts_with("ip6") { "ip6" } else { "ip" };
            let names = text.lines().filter_map(|line| line.strip_prefix('*'));
            tables.extend(names.map(|name| (family.to_owned(), name.to_owned())));
            saves.push((restore, text.clone()));
        }
        let list = Invocation::new(Tool::Nft, ["list", "ruleset"]);
        let text = recorded.run_ok(&list).expect("a recorded ruleset").stdout;
        let native = text.split_inclusive("\n}\n").filter(|table| {
            let mut words = table
                .split_whitespace()
                .skip_while(|word| *word != "table")
                .skip(1);
            let mut word = || words.next().unwrap_or_default().to_owned();
            let heading = (word(), word());
            !tables.contains(&heading)
        });
        let host = Self {
            native: native.collect(),
            saves,
            recorded,
            files: Mutex::default(),
        };
        host.reset();
        host
    }

    /// The ruleset and the files as they were recorded.
    pub fn reset(&self) {
        real_ok(&Invocation::new(Tool::Nft, ["flush", "ruleset"]));
        for (restore, text) in &self.saves {
            real_ok(&Invocation::new(*restore, Vec::<String>::new()).with_stdin(text.as_str()));
        }
        real_ok(&Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(self.native.as_str()));
        self.files.lock().expect("a lock").clear();
    }

    fn changed_files(&self) -> String {
        let mut text = String::new();
        for (path, content) in self.files.lock().expect("a lock").iter() {
            let before = self.recorded.read_text(path);
            if *content != before {
                text.push_str(&format!(
                    "{}: {content:?} instead of {before:?}\n",
                    path.display()
                ));
            }
        }
        text
    }

    fn written(&self, path: &Path) -> Option<Option<String>> {
        self.files.lock().expect("a lock").get(path).cloned()
    }

    fn write(&self, path: &Path, content: Option<String>) {
        self.files
            .lock()
            .expect("a lock")
            .insert(path.to_owned(), content);
    }
}

impl Subject for Host {
    fn system(&self) -> &dyn System {
        self
    }

    fn state(&self) -> String {
        rules_in_force() + &self.changed_files()
    }
}

/// The rules in force in this namespace, as the tools print them.
pub fn rules_in_force() -> String {
    let mut text = String::new();
    let nft = Invocation::new(Tool::Nft, ["-s", "list", "ruleset"]);
    text.push_str(&without_idle_tables(
        &RealSystem.run_ok(&nft).expect("nft").stdout,
    ));
    for (names, save) in [
        ("/proc/net/ip_tables_names", Tool::IptablesLegacySave),
        ("/proc/net/ip6_tables_names", Tool::Ip6tablesLegacySave),
    ] {
        // Asking would make the tables.
        if RealSystem
            .read_text(names.as_ref())
            .is_some_and(|text| !text.is_empty())
        {
            let output = RealSystem.run_ok(&Invocation::new(save, Vec::<String>::new()));
            text.push_str(&without_counters(&output.expect("a save").stdout));
        }
    }
    for save in [Tool::IptablesNftSave, Tool::Ip6tablesNftSave] {
        let output = RealSystem.run_ok(&Invocation::new(save, Vec::<String>::new()));
        let output = output.expect("a save");
        // Rules that it cannot print are no rules that are gone.
        assert!(!output.stdout.contains("incompatible"), "{output:?}");
        text.push_str(&without_counters(&output.stdout));
    }
    text
}

/// The rules in what iptables-save prints, and chains that do not accept by policy. A table that the tool has made for
/// its first rule stays when the rule goes.
fn without_counters(text: &str) -> String {
    text.lines()
        .filter(|line| line.starts_with(['-', ':']))
        .map(|line| line.split(" [").next().unwrap_or(line).to_owned() + "\n")
        .filter(|line| !(line.starts_with(':') && line.ends_with(" ACCEPT\n")))
        .collect()
}

/// The same for what nft prints.
fn without_idle_tables(text: &str) -> String {
    let idle = |table: &&str| {
        let calm = |line: &str| {
            let line = line.trim();
            ["table ", "chain "].iter().any(|start| line.starts_with(start))
                || line == "}"
                || line.is_empty()
                || (line.starts_with("type filter hook") && line.ends_with("policy accept;"))
        };
        table.lines().all(calm)
    };
    text.split_inclusive("\n}\n")
        .filter(|table| !idle(table))
        .collect()
}

fn is_firewall(tool: Tool) -> bool {
    let name = tool.name();
    name == "nft" || name == "ipset" || name.starts_with("iptables") || name.starts_with("ip6tables")
}

impl System for Host {
    fn run(&self, call: &Invocation) -> Result<Output, SystemError> {
        let switches =
            |word: &String| ["enable", "disable", "daemon-reload", "start", "stop"].contains(&word.as_str());
        if is_firewall(call.tool) {
            RealSystem.run(call)
        } else if call.tool == Tool::Systemctl && call.args.iter().any(switches) {
            // No systemd in a namespace: that units are switched is shown on real machines.
            Ok(Output {
                status: Some(0),
                ..Output::default()
            })
        } else {
            self.recorded.run(call)
        }
    }

    fn run_on_terminal(
        &self,
        call: &Invocation,
        env: &[(String, String)],
    ) -> Result<Option<i32>, SystemError> {
        self.recorded.run_on_terminal(call, env)
    }

    fn become_program(&self, call: &Invocation) -> SystemError {
        self.recorded.become_program(call)
    }

    fn die_with_parent(&self) -> Result<(), SystemError> {
        self.recorded.die_with_parent()
    }

    fn run_as_init(&self, call: &Invocation) -> Result<Option<i32>, SystemError> {
        self.recorded.run_as_init(call)
    }

    fn detach(&self, call: &Invocation) -> Result<(), SystemError> {
        self.recorded.detach(call)
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, SystemError> {
        if path.ends_with("ip_tables_names") || path.ends_with("ip6_tables_names") {
            return RealSystem.read(path);
        }
        match self.written(path) {
            Some(content) => Ok(content.map(String::into_bytes)),
            None => self.recorded.read(path),
        }
    }

    fn list(&self, dir: &Path) -> Vec<PathBuf> {
        self.recorded.list(dir)
    }

    fn read_link(&self, path: &Path) -> Option<PathBuf> {
        self.recorded.read_link(path)
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        self.recorded.resolve(path)
    }

    fn owner(&self, path: &Path) -> Option<u32> {
        self.recorded.owner(path)
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        match self.written(path) {
            Some(content) => content.map(|_| 0o644),
            None => self.recorded.mode(path),
        }
    }

    fn replace(&self, path: &Path, bytes: &[u8], _: u32) -> Result<(), SystemError> {
        self.write(path, Some(String::from_utf8_lossy(bytes).into_owned()));
        Ok(())
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> Result<(), SystemError> {
        self.recorded.append(path, bytes)
    }

    fn remove(&self, path: &Path) -> Result<(), SystemError> {
        self.write(path, None);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> Result<(), SystemError> {
        self.recorded.remove_dir(path)
    }

    fn make_dir(&self, _: &Path, _: u32) -> Result<(), SystemError> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Option<Lock>, SystemError> {
        self.recorded.lock(path)
    }

    fn locate(&self, tool: Tool) -> Option<PathBuf> {
        if is_firewall(tool) {
            RealSystem.locate(tool)
        } else {
            self.recorded.locate(tool)
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        self.recorded.env(name)
    }

    fn pid(&self) -> u32 {
        self.recorded.pid()
    }

    fn ids(&self) -> (u32, u32) {
        self.recorded.ids()
    }

    fn is_root(&self) -> bool {
        self.recorded.is_root()
    }

    fn signal(&self, pid: u32, signal: Signal) -> Result<(), SystemError> {
        self.recorded.signal(pid, signal)
    }

    fn boottime(&self) -> Duration {
        self.recorded.boottime()
    }

    fn now(&self) -> jiff::Timestamp {
        // The kernel's clock decides when a trial is over.
        RealSystem.now()
    }

    fn sleep(&self, time: Duration) {
        RealSystem.sleep(time);
    }

    fn random(&self) -> Result<u64, SystemError> {
        RealSystem.random()
    }

    fn ignore_hang_up(&self) {}

    fn become_independent(&self) {}
}
