//! From answers and facts to a preview: reads what is kept already, then leaves the thinking to the pure core.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::Engine;
use super::detect::sshd::in_force;
use crate::advice::review;
use crate::answers::{Answers, OLD_SSH_PORT};
use crate::catalogue::Catalogue;
use crate::change::Preview;
use crate::change::render::{Setting, preview};
use crate::facts::{BackendId, Facts, TwoPorts};
use crate::plan::{Plan, PlanError, Requirement, plan};
use crate::sshd::logins::depends_on_port;
use crate::sshd::neighbours;
use crate::sshd::restrictions::tied;
use crate::step::{Invocation, Tool};

/// From 9.8 on another program of OpenSSH serves a connection, and asks the wrappers: Debian's place, and that of others.
const SESSION_PROGRAMS: [&str; 2] = [
    "/usr/lib/openssh/sshd-session",
    "/usr/libexec/openssh/sshd-session",
];

/// A path as a word of `ExecStart=`.
fn in_unit(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if plain {
        return text;
    }
    let text = text.replace('\\', r"\\").replace('"', r#"\""#);
    format!("\"{}\"", text.replace('%', "%%").replace('$', "$$"))
}

impl Engine<'_> {
    /// What a rendering needs besides facts and answers.
    pub fn setting(&self, window_s: u64) -> Setting {
        let in_force = self
            .in_force()
            .map(|t| (t.change.before.kept, t.change.requirements));
        // In each backend's own text.
        let (kept, let_in): (BTreeMap<BackendId, (String, String)>, Vec<Requirement>) =
            in_force.unwrap_or_default();
        Setting {
            id: self.new_id(),
            window_s,
            program: format!(
                "{} --state-dir {}",
                in_unit(&self.system.locate(Tool::Faspwall).unwrap_or_default()),
                in_unit(&self.state_dir)
            ),
            committed: kept.into_iter().map(|(id, (_, after))| (id, after)).collect(),
            let_in,
        }
    }

    /// The preview of these answers on this host.
    pub fn prepare(
        &self,
        catalogue: &Catalogue,
        answers: &Answers,
        facts: &Facts,
        window_s: u64,
    ) -> Result<Preview, PlanError> {
        let plan = plan(catalogue, answers)?;
        let asked = self.asked(facts, &plan);
        let facts = asked.as_ref().unwrap_or(facts);
        let advice = review(&plan, answers, facts);
        Ok(preview(facts, answers, plan, advice, &self.setting(window_s)))
    }

    /// What is worth asking only now that the new port is known: a recording cannot be asked.
    fn asked(&self, facts: &Facts, plan: &Plan) -> Option<Facts> {
        plan.inbound_ssh()?;
        if self.system.recorded().is_some() || !self.system.is_root() {
            return None;
        }
        let mut ssh = facts.ssh.clone();
        ssh.two_ports = self.two_ports(facts, plan.ssh_port);
        ssh.wrappers = self.wrappers(facts);
        ssh.local_ports = self.local_ports();
        if plan.move_sshd && !ssh.ports.contains(&plan.ssh_port) {
            ssh.in_the_way = self.connections_on(plan.ssh_port);
            if depends_on_port(&ssh.config.files) {
                let asked = ssh.two_ports.as_ref();
                // The new port takes the place of the usual one; beside it others may be restricted on purpose.
                let mut before = ssh.ports.clone();
                if before.contains(&OLD_SSH_PORT) {
                    before = vec![OLD_SSH_PORT];
                }
                ssh.tied = tied(&ssh.config.files, &before, plan.ssh_port, asked);
            }
        }
        if facts.selinux.is_some() && self.system.locate(Tool::Semanage).is_some() {
            let list = Invocation::new(Tool::Semanage, ["port", "-l"]);
            ssh.labels = self.system.run_ok(&list).ok().map(|output| output.stdout);
        }
        if self.system.locate(Tool::Fail2banClient).is_some() {
            ssh.jail = self.jail();
        }
        // A ruleset may be large: it is copied only for something.
        (ssh != facts.ssh).then(|| Facts { ssh, ..facts.clone() })
    }

    /// The ports of fail2ban's sshd jail, when it runs and has one.
    fn jail(&self) -> Option<(String, Option<String>)> {
        self.system
            .run_ok(&neighbours::fail2ban(&["status", "sshd"]))
            .ok()?;
        let dump = self.system.run_ok(&neighbours::fail2ban(&["-d"])).ok()?;
        let ports = neighbours::jail_port(&dump.stdout)?;
        Some((ports, self.system.read_text(Path::new(neighbours::JAIL))))
    }

    /// The files of TCP wrappers, where sshd is linked with them.
    fn wrappers(&self, facts: &Facts) -> Option<(String, String)> {
        let text = |path: &str| self.system.read_text(Path::new(path)).unwrap_or_default();
        let files = (text("/etc/hosts.allow"), text("/etc/hosts.deny"));
        let says = |text: &str| {
            text.lines()
                .any(|line| !line.trim().is_empty() && !line.starts_with('#'))
        };
        if !says(&files.0) && !says(&files.1) {
            return None;
        }
        let listener = facts.ssh.program.as_deref().into_iter();
        let mut programs = listener.chain(SESSION_PROGRAMS.map(Path::new));
        let name = b"libwrap.so";
        let linked = |program: &Path| {
            let bytes = self.system.read(program).ok().flatten().unwrap_or_default();
            bytes.windows(name.len()).any(|part| part == name)
        };
        programs.any(linked).then_some(files)
    }

    /// What sshd says about a login through the new port, where its configuration looks at ports at all.
    fn two_ports(&self, facts: &Facts, port: u16) -> Option<TwoPorts> {
        let ssh = &facts.ssh;
        if !depends_on_port(&ssh.config.files) || ssh.ports.contains(&port) {
            return None;
        }
        let session = facts.session.as_ref();
        let user = session
            .and_then(|session| session.user.clone())
            .unwrap_or_else(|| String::from("root"));
        let present = session
            .and_then(|session| session.server_port)
            .or_else(|| ssh.ports.first().copied())?;
        let address = |known: Option<IpAddr>| {
            known.map_or_else(|| String::from("127.0.0.1"), |ip| ip.to_canonical().to_string())
        };
        let client = address(session.and_then(|s| s.client));
        let server = address(session.and_then(|s| s.server));
        let ask = |port: u16| {
            let connection = format!("user={user},host={client},addr={client},laddr={server},lport={port}");
            let more = [String::from("-C"), connection];
            in_force(self.system, &ssh.args, facts.os.systemd, &more).ok()
        };
        let answers = (ask(present)?, ask(port)?);
        Some(TwoPorts {
            groups: self.groups(&user),
            user,
            ports: (present, port),
            answers,
        })
    }

    /// Groups of a user that the host's own files know.
    fn groups(&self, user: &str) -> Vec<String> {
        let text = |path: &str| self.system.read_text(Path::new(path)).unwrap_or_default();
        let users = text("/etc/passwd");
        let primary = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&user))
            .and_then(|fields| fields.get(3).map(ToString::to_string));
        let groups = text("/etc/group");
        let fields = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
        fields
            .filter(|fields| {
                let member = fields
                    .get(3)
                    .is_some_and(|list| list.split(',').any(|name| name == user));
                member || (primary.is_some() && fields.get(2).map(ToString::to_string) == primary)
            })
            .filter_map(|fields| fields.first().map(ToString::to_string))
            .collect()
    }
}
