//! Performs one step. The only place where a stored effect becomes a real one.

use std::path::Path;
use std::time::Duration;

use super::detect::sockets::tcp_listeners;
use super::{Engine, EngineError};
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::inspect::owner;
use crate::backend::nftables::model::Rule;
use crate::step::{Invocation, Step, Tool};

impl Engine<'_> {
    /// Removes a file, and of a unit the links that start it: where `systemctl disable` has failed they would stay for ever
    /// and lead nowhere.
    fn remove(&self, path: &Path) -> Result<(), EngineError> {
        self.system.remove(path)?;
        let (Some(units), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        if units != Path::new("/etc/systemd/system") {
            return Ok(());
        }
        for dir in self.system.list(units) {
            let link = dir.join(name);
            let starts = dir.extension().is_some_and(|ending| ending == "wants");
            if starts && self.system.read_link(&link).as_deref() == Some(path) {
                self.system.remove(&link)?;
            }
        }
        Ok(())
    }

    /// Performs a step; returns once it has taken effect.
    pub fn perform(&self, step: &Step) -> Result<(), EngineError> {
        match step {
            Step::Run(call) | Step::Unshut(call) => {
                self.system.run_ok(call).map(drop).map_err(EngineError::from)
            }
            Step::Try(call) => {
                drop(self.system.run(call));
                Ok(())
            }
            Step::Write { path, content, mode } => {
                if let Some(dir) = path.parent() {
                    self.system.make_dir(dir, 0o755)?;
                }
                // A symbolic link stays one: what it points to is replaced.
                let target = self.system.resolve(path).unwrap_or_else(|| path.clone());
                let mode = self.system.mode(&target).unwrap_or(*mode);
                Ok(self.system.replace(&target, content.as_bytes(), mode)?)
            }
            Step::Revise { path, before, after } => self.revise(path, before, after),
            Step::Remove(path) => self.remove(path),
            Step::SweepNft {
                tag,
                sets,
                tables,
                then,
            } => self.sweep(tag, sets, tables, then),
            Step::SweepIptables { .. } | Step::PatchIptables { .. } => self.iptables(step),
            Step::SignalPidFile {
                pid_file,
                comm,
                signal,
            } => self.signal(pid_file, comm, *signal),
            Step::StartIfSilent {
                port,
                comm,
                call,
                patience_ms,
            } => {
                if self
                    .await_tcp(*port, true, comm, Duration::from_millis(*patience_ms))
                    .is_err()
                {
                    self.system.run_ok(call)?;
                }
                Ok(())
            }
            Step::Drain {
                port,
                quiet_ms,
                timeout_ms,
            } => {
                self.drain(
                    *port,
                    Duration::from_millis(*quiet_ms),
                    Duration::from_millis(*timeout_ms),
                );
                Ok(())
            }
            Step::AwaitTcp {
                port,
                listening,
                comm,
                timeout_ms,
            } => self.await_tcp(*port, *listening, comm, Duration::from_millis(*timeout_ms)),
        }
    }

    fn revise(&self, path: &Path, before: &str, after: &str) -> Result<(), EngineError> {
        let now = self.system.read_text(path);
        if now.as_deref() == Some(after) {
            return Ok(());
        }
        if now.as_deref() != Some(before) {
            return Err(EngineError::Refused(format!(
                "{} was changed by somebody in the meantime, so it is left as it is",
                path.display()
            )));
        }
        let target = self.system.resolve(path).unwrap_or_else(|| path.to_owned());
        let mode = self.system.mode(&target).unwrap_or(0o644);
        Ok(self.system.replace(&target, after.as_bytes(), mode)?)
    }

    fn sweep(&self, tag: &str, sets: &[String], tables: &[String], then: &str) -> Result<(), EngineError> {
        // Between the look and the act somebody else may have changed a handle: the batch then fails as a whole and is
        // made anew.
        let mut attempt = 1;
        loop {
            let batch = sweep_batch(&self.nft_ruleset()?, tag, sets, tables, then);
            if batch.is_empty() {
                return Ok(());
            }
            let call = Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(batch);
            match self.system.run_ok(&call) {
                Ok(_) => return Ok(()),
                Err(error) if attempt == 3 => return Err(error.into()),
                Err(_) => attempt += 1,
            }
        }
    }

    fn signal(&self, pid_file: &Path, comm: &str, signal: crate::step::Signal) -> Result<(), EngineError> {
        let Some(pid) = self
            .system
            .read_text(pid_file)
            .and_then(|text| text.trim().parse::<u32>().ok())
        else {
            return Ok(());
        };
        // The number may have passed on to another program since.
        let name = self
            .system
            .read_text(Path::new(&format!("/proc/{pid}/comm")))
            .unwrap_or_default();
        if name.trim() != comm {
            return Ok(());
        }
        Ok(self.system.signal(pid, signal)?)
    }

    /// The kernel shows the length of a listener's queue as its receive queue.
    fn drain(&self, port: u16, quiet: Duration, patience: Duration) {
        let end = self.system.boottime() + patience;
        let mut since = self.system.boottime();
        while self.system.boottime() < end && self.system.boottime() - since < quiet {
            if super::detect::sockets::queued(self.system, port) > 0 {
                since = self.system.boottime();
            }
            self.system.sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn await_tcp(
        &self,
        port: u16,
        listening: bool,
        comm: &str,
        patience: Duration,
    ) -> Result<(), EngineError> {
        let until = self.system.boottime() + patience;
        loop {
            let owners = tcp_listeners(self.system, port);
            let there = owners.iter().any(|(_, name)| name == comm);
            if there == listening {
                return Ok(());
            }
            if self.system.boottime() >= until {
                let what = if listening {
                    "did not come to listen on"
                } else {
                    "still listens on"
                };
                let others: Vec<String> = owners
                    .iter()
                    .map(|(pid, name)| format!("{name} ({pid})"))
                    .collect();
                let holder = if others.is_empty() {
                    String::from("nobody listens there")
                } else {
                    format!("the port is held by {}", others.join(", "))
                };
                return Err(EngineError::Refused(format!(
                    "{comm} {what} TCP/{port} within {} s; {holder}",
                    patience.as_secs()
                )));
            }
            self.system.sleep(Duration::from_millis(5));
        }
    }
}

/// One transaction that deletes what bears the tag and then runs `then`. Handles are looked up now: they change with
/// every reload, comments do not.
pub fn sweep_batch(ruleset: &Ruleset, tag: &str, sets: &[String], tables: &[String], then: &str) -> String {
    let mut batch = String::new();
    // Rules that iptables keeps in nftables are swept by iptables itself.
    let elsewhere: Vec<&crate::backend::nftables::model::Table> = ruleset
        .tables
        .iter()
        .filter(|t| owner(ruleset, &t.family, &t.name).as_deref() == Some("iptables-nft"))
        .collect();
    let foreign = |family: &str, table: &str| elsewhere.iter().any(|t| t.family == family && t.name == table);
    let whole = |family: &str, table: &str| tables.iter().any(|t| *t == format!("{family} {table}"));
    for rule in ruleset
        .rules
        .iter()
        .filter(|r| r.tagged(tag) && !whole(&r.family, &r.table) && !foreign(&r.family, &r.table))
    {
        batch.push_str(&format!(
            "delete rule {} {} {} handle {}\n",
            rule.family, rule.table, rule.chain, rule.handle
        ));
    }
    let in_use = |set: &crate::backend::nftables::model::Set| {
        let name = format!("\"@{}\"", set.name);
        ruleset.rules.iter().any(|rule| {
            rule.family == set.family
                && rule.table == set.table
                && !rule.tagged(tag)
                && rule.expressions.iter().any(|e| e.to_string().contains(&name))
        })
    };
    for set in ruleset
        .sets
        .iter()
        .filter(|s| sets.contains(&s.name) && !whole(&s.family, &s.table) && !in_use(s))
    {
        batch.push_str(&format!("delete set {} {} {}\n", set.family, set.table, set.name));
    }
    for table in ruleset.tables.iter().filter(|t| whole(&t.family, &t.name)) {
        batch.push_str(&format!("delete table {} {}\n", table.family, table.name));
    }
    for line in then.lines() {
        batch.push_str(&by_handle(ruleset, line).unwrap_or_else(|| line.to_owned()));
        batch.push('\n');
    }
    batch
}

/// `add rule inet filter input index 1 ...` with the handle of that rule, counted without ours: those come and go in the
/// same batch. A rule that is gone takes its place with it: then ours goes to the top. `None` for any other line.
fn by_handle(ruleset: &Ruleset, line: &str) -> Option<String> {
    let mut words = line.strip_prefix("add rule ")?.splitn(6, ' ');
    let (family, table, chain) = (words.next()?, words.next()?, words.next()?);
    let number: usize = words
        .next()
        .filter(|word| *word == "index")
        .and(words.next())?
        .parse()
        .ok()?;
    let rest = words.next()?;
    let of_chain = |rule: &&Rule| rule.family == family && rule.table == table && rule.chain == chain;
    let mut theirs = ruleset
        .rules
        .iter()
        .filter(of_chain)
        .filter(|rule| !rule.tagged("faspwall"));
    Some(match theirs.nth(number) {
        Some(rule) => format!("add rule {family} {table} {chain} handle {} {rest}", rule.handle),
        None => format!("insert rule {family} {table} {chain} {rest}"),
    })
}
