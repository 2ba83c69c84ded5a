//! Finding out the truth about the host, without changing anything on it.
//!
//! The kernel is asked first: sockets, processes and the ruleset tell what is in force, whatever the packages and
//! services say. The probes run beside each other, each with its own time limit, and every answer is reported as it
//! comes, so that a slow one holds up nobody.

pub mod aspera;
pub mod firewall;
pub mod firewalld;
pub mod links;
pub mod os;
pub mod processes;
pub mod session;
pub mod sockets;
pub mod sshd;

use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use crate::facts::{Facts, Listener, SshFacts};
use crate::system::System;

pub use session::{Login, logins_on, session};
pub use sockets::tcp_listeners;

/// How long a program that is asked may take.
pub const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// What one probe adds to the facts.
type Finding = Box<dyn FnOnce(&mut Facts) + Send>;

/// A row of questions; sends what it finds.
type Probe = fn(&Host<'_>, &mpsc::Sender<Finding>);

/// What all probes ask.
struct Host<'s> {
    system: &'s dyn System,
    /// Whether systemd runs.
    systemd: bool,
    printed: OnceLock<links::Printed>,
}

impl Host<'_> {
    /// What the first of the probes that wants to know it was told about links.
    fn links(&self) -> &links::Printed {
        self.printed.get_or_init(|| links::Printed::read(self.system))
    }
}

/// Looks at the host. `report` is called after each answer with all that is known by then.
pub fn detect(system: &dyn System, report: &mut dyn FnMut(&Facts)) -> Facts {
    let mut facts = Facts {
        hostname: os::hostname(system),
        os: os::os(system),
        privileged: system.is_root(),
        selinux: os::selinux(system),
        ..Facts::default()
    };
    report(&facts);
    let host = Host {
        system,
        systemd: facts.os.systemd,
        printed: OnceLock::new(),
    };
    let host = &host;
    let (sender, receiver) = mpsc::channel::<Finding>();
    thread::scope(|scope| {
        let probes: [Probe; 4] = [connections, firewalls, product, log];
        for probe in probes {
            let sender = sender.clone();
            scope.spawn(move || probe(host, &sender));
        }
        drop(sender);
        while let Ok(finding) = receiver.recv() {
            finding(&mut facts);
            report(&facts);
        }
    });
    facts
}

fn send(sender: &mpsc::Sender<Finding>, finding: impl FnOnce(&mut Facts) + Send + 'static) {
    // The receiver lives as long as the scope of the threads; a panic there ends them all anyway.
    drop(sender.send(Box::new(finding)));
}

/// Processes and sockets, and what follows from them.
fn connections(host: &Host<'_>, sender: &mpsc::Sender<Finding>) {
    let system = host.system;
    let processes = processes::Processes::read(system);
    let session = session::session_of(system, &processes, system.pid());
    let reached = session.as_ref().and_then(|s| s.server);
    send(sender, move |facts| facts.session = session);
    let listeners: Vec<Listener> = sockets::listeners(system, &processes);
    let found = listeners.clone();
    send(sender, move |facts| facts.listeners = found);
    let ssh = sshd::sshd(system, &processes, &listeners, host.systemd);
    send(sender, move |facts| {
        facts.ssh = SshFacts {
            failed_logins: facts.ssh.failed_logins,
            ..ssh
        };
    });
    let mut addresses = host.links().addresses();
    // The address that has proved to be reachable comes first.
    addresses.sort_by_key(|address| Some(*address) != reached);
    send(sender, move |facts| facts.addresses = addresses);
    let links = host.links().links(reached);
    send(sender, move |facts| facts.links = links);
}

fn firewalls(host: &Host<'_>, sender: &mpsc::Sender<Finding>) {
    let found = firewall::look(host.system, host.systemd, &|| host.links());
    send(sender, move |facts| found.into_facts(facts));
}

fn product(host: &Host<'_>, sender: &mpsc::Sender<Finding>) {
    let found = aspera::product(host.system);
    send(sender, move |facts| facts.aspera = found);
}

fn log(host: &Host<'_>, sender: &mpsc::Sender<Finding>) {
    if host.systemd {
        let failed = sshd::failed_logins(host.system);
        send(sender, move |facts| facts.ssh.failed_logins = failed);
    }
}
