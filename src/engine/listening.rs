//! Whether a daemon listens where it shall: the daemon itself, not somebody who has taken its name and its port.
//!
//! A port above 1023 is anybody's, and so is a name (`prctl(PR_SET_NAME)`). Only root opens a socket as root, and the kernel
//! tells which file a process runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::detect::sockets::{Holder, holders};
use super::{Engine, EngineError};
use crate::step::{IpFamily, Step, Tool};
use crate::system::System;

/// How long a step waits between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Who shall listen, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The TCP port.
    pub port: u16,
    /// The name of the daemon; `systemd` is process 1 and nobody else.
    pub comm: &'a str,
    /// Its file, where that is known.
    pub program: Option<&'a Path>,
    /// The families that it must listen over; without any, one is enough.
    pub families: &'a [IpFamily],
}

impl<'a> Wanted<'a> {
    /// A daemon of root with that name, over whichever family.
    pub fn anywhere(port: u16, comm: &'a str) -> Self {
        Self {
            port,
            comm,
            program: None,
            families: &[],
        }
    }

    /// What such a step waits for.
    pub fn of(step: &'a Step) -> Option<Self> {
        match step {
            Step::AwaitTcp {
                port,
                comm,
                program,
                families,
                ..
            } => Some(Self {
                port: *port,
                comm,
                program: program.as_deref(),
                families,
            }),
            _ => None,
        }
    }

    /// Whether this is the daemon.
    fn is(&self, system: &dyn System, holder: &Holder) -> bool {
        if holder.uid != 0 || holder.name != self.comm {
            return false;
        }
        if self.comm == "systemd" {
            // Each user may have a systemd of his own.
            return holder.pid == 1;
        }
        self.program
            .is_none_or(|program| runs(system, holder.pid, program))
    }

    /// Looks who listens now: the daemon's own sockets, and those of others.
    fn look(&self, system: &dyn System) -> (Vec<Holder>, Vec<Holder>) {
        holders(system, self.port)
            .into_iter()
            .partition(|holder| self.is(system, holder))
    }

    /// The families over which it should listen and does not, or `None` where nothing is missing.
    fn missing(&self, own: &[Holder]) -> Option<Vec<IpFamily>> {
        // One socket of systemd may serve both families: where it cannot, systemd has one for each, or none at all.
        let both = |holder: &Holder| self.comm == "systemd" && holder.address.is_unspecified();
        let over = |family: &IpFamily| {
            let mut holders = own.iter();
            holders.any(|holder| both(holder) || IpFamily::of(holder.address) == *family)
        };
        let missing: Vec<IpFamily> = self.families.iter().copied().filter(|f| !over(f)).collect();
        (own.is_empty() || !missing.is_empty()).then_some(missing)
    }

    /// `sshd does not listen on TCP/33001 over IPv4; the port is held by sshd (1234) of user 1000, ...`
    fn complaint(&self, what: &str, missing: &[IpFamily], own: &[Holder], others: &[Holder]) -> String {
        let over = match missing {
            [one] if !own.is_empty() => format!(" over {one}"),
            _ => String::new(),
        };
        let held = match who(self.comm, others) {
            Some(others) => format!("the port is held by {others}"),
            None if own.is_empty() => String::from("nobody listens there"),
            None => String::from("nobody else does"),
        };
        format!("{} {what} TCP/{}{over}; {held}", self.comm, self.port)
    }
}

/// Whether a process runs the program, which an upgrade may have replaced or moved meanwhile: then it is root's file of that
/// name.
fn runs(system: &dyn System, pid: u32, program: &Path) -> bool {
    let link = PathBuf::from(format!("/proc/{pid}/exe"));
    let Some(file) = system.read_link(&link) else {
        return false;
    };
    let text = file.to_string_lossy();
    let file = PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(&text));
    // What is started by its name alone may lie in another directory.
    let known = [Some(program.to_owned()), system.locate(Tool::Sshd)];
    let mut known = known.into_iter().flatten();
    known.any(|known| file == known || system.resolve(&known).is_some_and(|known| known == file))
        || (file.file_name() == program.file_name() && system.owner(&link) == Some(0))
}

/// `sshd (1234) of user 1000, which only bears that name`
fn who(comm: &str, others: &[Holder]) -> Option<String> {
    let mut names: Vec<String> = others
        .iter()
        .map(|holder| {
            let user = if holder.uid == 0 {
                String::new()
            } else {
                format!(" of user {}", holder.uid)
            };
            let bears = if holder.name == comm {
                ", which only bears that name"
            } else {
                ""
            };
            format!("{} ({}){user}{bears}", holder.name, holder.pid)
        })
        .collect();
    names.dedup();
    (!names.is_empty()).then(|| names.join(", "))
}

impl Engine<'_> {
    /// Performs a step that waits for a port.
    pub(super) fn await_tcp(&self, step: &Step) -> Result<(), EngineError> {
        match (step, Wanted::of(step)) {
            (
                Step::AwaitTcp {
                    listening,
                    timeout_ms,
                    ..
                },
                Some(wanted),
            ) => {
                let patience = Duration::from_millis(*timeout_ms);
                if *listening {
                    self.await_listening(&wanted, patience)
                } else {
                    self.await_free(&wanted, patience)
                }
            }
            _ => Ok(()),
        }
    }

    /// Whether the daemon listens at this moment, and if not, why.
    pub(super) fn listens(&self, wanted: &Wanted<'_>) -> Result<(), EngineError> {
        let (own, others) = wanted.look(self.system);
        match wanted.missing(&own) {
            None => Ok(()),
            Some(missing) => Err(EngineError::Refused(wanted.complaint(
                "does not listen on",
                &missing,
                &own,
                &others,
            ))),
        }
    }

    /// Waits until the daemon listens.
    pub(super) fn await_listening(&self, wanted: &Wanted<'_>, patience: Duration) -> Result<(), EngineError> {
        let until = self.system.boottime() + patience;
        loop {
            let (own, others) = wanted.look(self.system);
            let Some(missing) = wanted.missing(&own) else {
                return Ok(());
            };
            if self.system.boottime() >= until {
                let what = format!("did not come to listen within {} s on", patience.as_secs());
                let mut text = wanted.complaint(&what, &missing, &own, &others);
                if let (Some(held), true) = (self.connections_on(wanted.port).first(), others.is_empty()) {
                    text = format!("{text}, but it is this host's own end of a connection: {held}");
                }
                return Err(EngineError::Refused(text));
            }
            self.system.sleep(PAUSE);
        }
    }

    /// Waits until the daemon has left the port. Somebody who has taken it meanwhile would keep the next daemon out.
    pub(super) fn await_free(&self, wanted: &Wanted<'_>, patience: Duration) -> Result<(), EngineError> {
        let until = self.system.boottime() + patience;
        loop {
            let (own, mut others) = wanted.look(self.system);
            others.retain(|holder| !holder.address.is_loopback());
            if let (true, Some(who)) = (own.is_empty(), who(wanted.comm, &others)) {
                return Err(EngineError::Refused(format!(
                    "TCP/{} was taken by somebody else as soon as it was free: it is held by {who}",
                    wanted.port
                )));
            }
            if own.is_empty() {
                return Ok(());
            }
            if self.system.boottime() >= until {
                return Err(EngineError::Refused(format!(
                    "{} still listens on TCP/{} after {} s",
                    wanted.comm,
                    wanted.port,
                    patience.as_secs()
                )));
            }
            self.system.sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(name: &str, uid: u32, address: &str) -> Holder {
        Holder {
            pid: 7,
            name: name.into(),
            uid,
            address: address.parse().expect("an address"),
        }
    }

    #[test]
    fn a_name_alone_is_nobody() {
        let system = crate::system::real::RealSystem;
        let wanted = Wanted::anywhere(33001, "sshd");
        assert!(wanted.is(&system, &holder("sshd", 0, "0.0.0.0")));
        assert!(!wanted.is(&system, &holder("sshd", 1000, "0.0.0.0")));
        assert!(!wanted.is(&system, &holder("python3", 0, "0.0.0.0")));
        // A process of ours runs another file than sshd, whatever its name.
        let this = Holder {
            pid: system.pid(),
            ..holder("sshd", 0, "0.0.0.0")
        };
        let with_file = Wanted {
            program: Some(Path::new("/usr/sbin/sshd")),
            ..wanted
        };
        assert!(!with_file.is(&system, &this));
        let systemd = Wanted::anywhere(33001, "systemd");
        assert!(!systemd.is(&system, &holder("systemd", 0, "::")));
    }

    #[test]
    fn every_family_that_is_asked_for_must_be_there() {
        let both = Wanted {
            families: &[IpFamily::V4, IpFamily::V6],
            ..Wanted::anywhere(33001, "sshd")
        };
        let (v4, v6) = (holder("sshd", 0, "0.0.0.0"), holder("sshd", 0, "::"));
        assert_eq!(both.missing(&[v4.clone(), v6.clone()]), None);
        let missing = both.missing(std::slice::from_ref(&v6)).expect("one is missing");
        let text = both.complaint(
            "does not listen on",
            &missing,
            &[v6],
            &[holder("sshd", 1000, "10.0.0.1")],
        );
        assert_eq!(
            text,
            "sshd does not listen on TCP/33001 over IPv4; the port is held by sshd (7) of user 1000, which only bears that \
             name"
        );
        assert_eq!(Wanted::anywhere(33001, "sshd").missing(&[v4]), None);
        let of_systemd = Wanted {
            comm: "systemd",
            ..both
        };
        assert_eq!(of_systemd.missing(&[holder("systemd", 0, "::")]), None);
        assert!(of_systemd.missing(&[holder("systemd", 0, "fd00::1")]).is_some());
    }
}
