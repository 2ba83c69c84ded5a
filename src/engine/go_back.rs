//! Takes back what was committed: a transaction of its own, through the old door, with the same guard and the same
//! two trials.

use std::collections::BTreeMap;
use std::path::Path;

use super::journal::Transaction;
use super::{Engine, EngineError};
use crate::answers::{Answers, Legacy22};
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::inspect::fingerprint;
use crate::backend::{Pieces, Wish, translator};
use crate::change::assemble::{Parts, helper_port};
use crate::change::render::Setting;
use crate::change::{Before, Change};
use crate::facts::local_ports::without as without_ports;
use crate::facts::{BackendId, Facts};
use crate::plan::Requirement;
use crate::product::taken_back;
use crate::sshd::change::FileChange;
use crate::sshd::reserve::Reservation;
use crate::transaction::{Entry, State, TxnId};

impl Engine<'_> {
    /// The committed transaction that is in force: the last one that no later one took back.
    pub fn in_force(&self) -> Option<Transaction> {
        self.in_force_before(None)
    }

    /// The same as it was before a transaction began.
    fn in_force_before(&self, id: Option<&TxnId>) -> Option<Transaction> {
        let mut all = self.transactions();
        all.retain(|t| id.is_none_or(|id| t.id < *id));
        let committed: Vec<&Transaction> = all.iter().filter(|t| t.state == State::Committed).collect();
        let taken_back: Vec<&str> = committed
            .iter()
            .filter_map(|t| t.change.reverts.as_deref())
            .collect();
        committed
            .iter()
            .rev()
            .find(|t| t.change.reverts.is_none() && !taken_back.contains(&t.id.as_str()))
            .map(|t| (*t).clone())
    }

    /// The answers that close a TCP/22 which the change in force has left open.
    pub fn answers_to_close_22(&self) -> Result<Answers, EngineError> {
        let Some(last) = self.in_force() else {
            return Err(EngineError::Refused(String::from(
                "nothing that faspwall kept is in force, so it does not know your answers. Write legacy_22 = \"close\" in \
                 them and type: faspwall apply -f FILE",
            )));
        };
        let answers = last.change.answers.as_ref().ok_or_else(|| {
            EngineError::Refused(format!(
                "{} was made by an older faspwall, which did not keep the answers. Write legacy_22 = \"close\" in them and \
                 type: faspwall apply -f FILE",
                last.id
            ))
        })?;
        Ok(answers.closing_22())
    }

    /// The committed transaction that can be taken back: only the last one.
    fn to_take_back(&self, id: Option<&TxnId>) -> Result<Transaction, EngineError> {
        let Some(last) = self.in_force() else {
            return Err(EngineError::Refused(String::from(
                "nothing that faspwall kept is in force: there is nothing to go back from. faspwall snapshots lists what was kept",
            )));
        };
        if let Some(id) = id
            && *id != last.id
        {
            return Err(EngineError::Refused(format!(
                "{id} is not the change in force: that is {}. Go back one at a time: faspwall rollback {}",
                last.id, last.id
            )));
        }
        Ok(last)
    }

    /// Another day for a TCP/22 that is kept already: nothing on the host changes but the reminder. Tells whether it did.
    pub fn keep_22_until(
        &self,
        answers: &Answers,
        until: Option<jiff::civil::Date>,
    ) -> Result<bool, EngineError> {
        let _lock = self.lock(std::time::Duration::from_secs(5))?;
        let Some(last) = self.in_force() else {
            return Ok(false);
        };
        if answers.ssh.legacy_22 != Legacy22::Keep || last.change.keep_22_until == until {
            return Ok(false);
        }
        let entry = Entry::KeepUntil {
            until,
            at: self.stamp(),
        };
        self.note(&last.id, &entry)?;
        Ok(true)
    }

    /// The change that takes a committed transaction back.
    pub fn way_back(
        &self,
        id: Option<&TxnId>,
        facts: &Facts,
        setting: &Setting,
    ) -> Result<Change, EngineError> {
        self.need_root("rollback")?;
        let last = self.to_take_back(id)?;
        let earlier = self.in_force_before(Some(&last.id));
        let before = last.change.before.clone();
        let mut sshd_files = Vec::new();
        for (path, old, new) in &before.files {
            if before.sshd_files.contains(path) {
                sshd_files.push(self.file_back(path, old.as_ref(), new.as_ref())?);
            }
        }
        let product_files = self.product_back(&before);
        let reservation = self.reservation_back(&before)?;
        let ruleset = self.live_ruleset()?;
        let theirs = ruleset.without_ours();
        let returning = gone(&before.ssh_ports, &before.ssh_ports_after);
        let leaving = gone(&before.ssh_ports_after, &before.ssh_ports);
        let door = returning.first().or_else(|| before.ssh_ports.first()).copied();
        let requirements: Vec<Requirement> = door.and_then(Requirement::ssh).into_iter().collect();
        let back = Back {
            facts,
            setting,
            live: &ruleset,
            theirs: &theirs,
            requirements: &requirements,
            closing: &leaving,
            helper_port: (!sshd_files.is_empty()).then(|| helper_port(facts)),
        };
        let (pieces, kept) = back.translate(&before.kept);
        let parts = Parts {
            id: &setting.id,
            window_s: setting.window_s,
            facts,
            backend: last.change.backend,
            pieces,
            kept,
            program: &setting.program,
            door,
            closing: leaving,
            spared: Vec::new(),
            gates: None,
            lift: true,
            sshd_files,
            reservation,
            ssh_ports: (before.ssh_ports_after.clone(), before.ssh_ports.clone()),
            helper_port: helper_port(facts),
            enable: Vec::new(),
            disable: before.enabled.clone(),
            unlabel: before.labels.clone(),
            keep_22_until: None,
            requirements,
            at_liberty: at_liberty(&last.change, earlier.as_ref().map(|t| &t.change)),
            left_to_do: if product_files.is_empty() {
                Vec::new()
            } else {
                last.change.left_to_do.clone()
            },
            product_files,
        };
        Ok(parts.assemble(
            fingerprint(&ruleset),
            without(&last.change.closed, earlier.as_ref().map(|t| &t.change.closed)),
            without(
                &newly_open(&last.change),
                earlier.as_ref().map(|t| &t.change.opened),
            ),
            Some(last.id.to_string()),
        ))
    }

    /// Others go on writing into the product's file: only what we changed in it goes back.
    fn product_back(&self, before: &Before) -> Vec<FileChange> {
        let ours = before
            .files
            .iter()
            .filter(|(path, _, _)| before.product_files.contains(path));
        let back = ours.filter_map(|(path, old, new)| {
            let now = self.system.read_text(path)?;
            let after = taken_back(old.as_deref()?, new.as_deref()?, &now);
            (after != now).then(|| FileChange {
                path: path.clone(),
                before: Some(now),
                after: Some(after),
            })
        });
        back.collect()
    }

    /// Our list of ports that connections do not get: others may have added theirs to the kernel's since.
    fn reservation_back(&self, before: &Before) -> Result<Option<Reservation>, EngineError> {
        let Some((reserved, live)) = &before.reserved else {
            return Ok(None);
        };
        let mut files = before.files.iter();
        let Some((path, old, new)) = files.find(|(path, _, _)| path == reserved) else {
            return Ok(None);
        };
        let file = self.file_back(path, old.as_ref(), new.as_ref())?;
        let local = self.local_ports().filter(|local| local.settable);
        let live = local.zip(live.as_ref()).map(|(local, (old, new))| {
            let left = without_ports(&local.reserved, new, old);
            (local.reserved, left)
        });
        Ok(Some(Reservation { file, live }))
    }

    /// A file goes back only if it still holds what we wrote: what somebody changed since is never lost.
    fn file_back(
        &self,
        path: &Path,
        old: Option<&String>,
        new: Option<&String>,
    ) -> Result<FileChange, EngineError> {
        let now = self.system.read_text(path);
        if now.as_ref() != new {
            return Err(EngineError::Refused(format!(
                "{} was changed by somebody since faspwall wrote it, so it is not put back. Nothing was changed. Look at it, put back what faspwall wrote, and try again",
                path.display()
            )));
        }
        Ok(FileChange {
            path: path.to_owned(),
            before: now,
            after: old.cloned(),
        })
    }
}

/// Text of what each backend keeps, before and afterwards.
type KeptTexts = BTreeMap<BackendId, (String, String)>;

/// What the firewalls are asked for on a way back.
struct Back<'a> {
    facts: &'a Facts,
    setting: &'a Setting,
    live: &'a Ruleset,
    theirs: &'a Ruleset,
    requirements: &'a [Requirement],
    closing: &'a [u16],
    helper_port: Option<u16>,
}

impl Back<'_> {
    /// From what is kept now to what was kept before.
    fn translate(&self, committed: &KeptTexts) -> (Pieces, KeptTexts) {
        let mut pieces = Pieces::default();
        let mut kept = BTreeMap::new();
        for (id, (old, new)) in committed {
            let Some(backend) = translator(*id) else { continue };
            let now = backend.kept(self.facts, self.live, new);
            let wish = Wish {
                tag: self.setting.id.tag(),
                window_s: self.setting.window_s,
                facts: self.facts,
                theirs: self.theirs,
                requirements: self.requirements,
                closing: self.closing,
                spared: &[],
                gates: None,
                helper_port: self.helper_port,
                kept: &now,
            };
            pieces.extend(backend.pieces(&wish, old));
            kept.insert(*id, (now.clone(), old.clone()));
        }
        (pieces, kept)
    }
}

fn gone(ports: &[u16], from: &[u16]) -> Vec<u16> {
    ports
        .iter()
        .copied()
        .filter(|port| !from.contains(port))
        .collect()
}

/// What comes or goes with the rules of a change and of the one before it, and the ports that sshd leaves or returns to.
fn at_liberty(last: &Change, earlier: Option<&Change>) -> Vec<Requirement> {
    let mut all = last.requirements.clone();
    all.extend(
        earlier
            .into_iter()
            .flat_map(|change| change.requirements.iter().cloned()),
    );
    let ports = last
        .closing
        .iter()
        .chain(&last.before.ssh_ports)
        .chain(&last.before.ssh_ports_after);
    all.extend(ports.filter_map(|port| Requirement::ssh(*port)));
    all
}

/// What an earlier change had done already stays so.
/// What the change opened that was not open before: going back leaves the rest as it is.
fn newly_open(change: &Change) -> Vec<String> {
    without(&change.opened, Some(&change.before.open))
}

fn without(ports: &[String], earlier: Option<&Vec<String>>) -> Vec<String> {
    let known = |port: &&String| earlier.is_none_or(|earlier| !earlier.contains(port));
    ports.iter().filter(known).cloned().collect()
}
