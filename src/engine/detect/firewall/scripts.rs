//! What runs at boot besides the units of a distribution: scripts, units of the operator's own, cron; and the lines in
//! them that load rules from a file.

use std::path::{Path, PathBuf};

use super::commands::{Command, Form, commands};
use crate::system::System;

/// Scripts that run at boot or when a link comes up, and directories of such.
const SCRIPTS: [&str; 2] = ["/etc/rc.local", "/etc/rc.d/rc.local"];
const SCRIPT_DIRS: [&str; 6] = [
    "/etc/network/if-pre-up.d",
    "/etc/network/if-up.d",
    "/etc/NetworkManager/dispatcher.d",
    "/etc/NetworkManager/dispatcher.d/pre-up.d",
    "/etc/networkd-dispatcher/routable.d",
    "/etc/local.d",
];
/// Files of ifupdown, with commands in some of their lines.
const INTERFACES: &str = "/etc/network/interfaces";
const INTERFACES_DIR: &str = "/etc/network/interfaces.d";
/// Tables of cron: with a column for the user, and without one.
const CRON: [&str; 3] = [
    "/etc/crontab",
    "/var/spool/cron/crontabs/root",
    "/var/spool/cron/root",
];
const CRON_DIR: &str = "/etc/cron.d";
/// Links to the scripts of System V that run at boot: Debian, Red Hat.
const RC_DIRS: [&str; 3] = ["/etc/rcS.d", "/etc/rc2.d", "/etc/rc.d/rc3.d"];
const RC_NAMES: [&str; 7] = ["firewall", "iptables", "nft", "ferm", "firehol", "apf", "rules"];
/// Units of the operator's own.
const UNIT_DIR: &str = "/etc/systemd/system";

/// What a line loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loads {
    /// `nft -f FILE`
    Nft,
    /// `iptables-restore FILE`
    Iptables,
    /// `ip6tables-restore FILE`
    Ip6tables,
}

/// A line that loads rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    /// Into which firewall.
    pub loads: Loads,
    /// The file with the rules.
    pub file: PathBuf,
    /// The script or unit.
    pub by: PathBuf,
    /// Whether it runs at boot.
    pub enabled: bool,
    /// Whether the line itself, or one before it, takes the rules of others away.
    pub empties: bool,
    /// The variant of iptables that its program names: the two keep their rules apart.
    pub variant: Option<&'static str>,
}

/// A text with commands that are run at boot, or would be if it were enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it stands.
    pub path: PathBuf,
    /// Where the commands stand in it.
    pub form: Form,
    /// Whether it runs at boot.
    pub enabled: bool,
    /// The text.
    pub text: String,
}

/// All of them that are there.
pub fn sources(system: &dyn System, systemd: bool) -> Vec<Source> {
    let mut found = Sources {
        system,
        all: Vec::new(),
    };
    let runnable = |path: &Path| system.mode(path).is_some_and(|mode| mode & 0o111 != 0);
    let mut scripts: Vec<PathBuf> = SCRIPTS.iter().map(PathBuf::from).collect();
    for dir in SCRIPT_DIRS {
        scripts.extend(system.list(Path::new(dir)));
    }
    for path in scripts {
        let enabled = runnable(&path);
        found.add(path, Form::Script, enabled);
    }
    // The files of ifupdown are read, not run.
    found.add(PathBuf::from(INTERFACES), Form::Interfaces, true);
    for path in system.list(Path::new(INTERFACES_DIR)) {
        found.add(path, Form::Interfaces, true);
    }
    let tables = CRON.iter().map(PathBuf::from);
    for path in tables.chain(system.list(Path::new(CRON_DIR))) {
        found.add(path, Form::Cron, true);
    }
    for dir in RC_DIRS {
        let started = |path: &PathBuf| name_of(path).is_some_and(is_telling_link);
        for path in system.list(Path::new(dir)).into_iter().filter(started) {
            found.add(path, Form::Script, true);
        }
    }
    if systemd {
        found.units();
    }
    found.all
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// Whether a link such as `S20ferm` starts something whose name speaks of a firewall. Those of a distribution's own
/// services are none of our business, and are many.
fn is_telling_link(name: &str) -> bool {
    let plain = name.trim_start_matches(|c: char| c == 'S' || c.is_ascii_digit());
    let speaks = RC_NAMES.iter().any(|part| plain.contains(part)) || plain.starts_with("fw");
    name.starts_with('S') && speaks
}

struct Sources<'s> {
    system: &'s dyn System,
    all: Vec<Source>,
}

impl Sources<'_> {
    fn add(&mut self, path: PathBuf, form: Form, enabled: bool) {
        if let Some(text) = self.system.read_text(&path) {
            self.all.push(Source {
                path,
                form,
                enabled,
                text,
            });
        }
    }

    /// Units that the operator wrote or linked into the directory, and additions to the units of others.
    fn units(&mut self) {
        let own = self.system.list(Path::new(UNIT_DIR));
        let ends = |path: &PathBuf, end: &str| name_of(path).is_some_and(|name| name.ends_with(end));
        let mut wanted: Vec<PathBuf> = Vec::new();
        for dir in own.iter().filter(|p| ends(p, ".wants") || ends(p, ".requires")) {
            wanted.extend(self.system.list(dir));
        }
        let among = |all: &[PathBuf], path: &Path| all.iter().any(|one| one.file_name() == path.file_name());
        for unit in own.iter().filter(|path| ends(path, ".service")) {
            if !name_of(unit).is_some_and(|name| name.starts_with("faspwall")) {
                self.add(unit.clone(), Form::Unit, among(&wanted, unit));
            }
        }
        for dir in own.iter().filter(|path| ends(path, ".service.d")) {
            for path in self
                .system
                .list(dir)
                .into_iter()
                .filter(|path| ends(path, ".conf"))
            {
                self.add(path, Form::Unit, true);
            }
        }
        // Of the units of a distribution only the names of some matter.
        let of_others = wanted.iter().filter(|link| !among(&own, link));
        self.all.extend(of_others.map(|link| Source {
            path: link.clone(),
            form: Form::Unit,
            enabled: true,
            text: String::new(),
        }));
    }
}

/// The loading lines of all sources.
pub fn loaders(sources: &[Source]) -> Vec<Loader> {
    let mut found = Vec::new();
    for source in sources {
        let all = commands(source.form, &source.text);
        // A script for nft is what it loads.
        if source.form == Form::Script && is_for_nft(&source.text) {
            found.push(Loader {
                loads: Loads::Nft,
                file: source.path.clone(),
                by: source.path.clone(),
                enabled: source.enabled,
                empties: false,
                variant: None,
            });
            continue;
        }
        let mut emptied = false;
        for command in &all {
            emptied |= command.words.windows(2).any(|pair| pair == ["flush", "ruleset"]);
            let Some((loads, file)) = loads(command) else {
                continue;
            };
            let restores = loads != Loads::Nft && !command.has(&["-n", "--noflush"]);
            found.push(Loader {
                loads,
                file,
                by: source.path.clone(),
                enabled: source.enabled,
                empties: restores || (loads == Loads::Nft && emptied),
                variant: ["-legacy-", "-nft-"].into_iter().find(|variant| {
                    command
                        .words
                        .iter()
                        .any(|word| word.contains(&format!("tables{variant}restore")))
                }),
            });
        }
    }
    found
}

/// Whether a text begins with `#!/usr/sbin/nft -f`.
pub fn is_for_nft(text: &str) -> bool {
    let first = text.lines().next().and_then(|line| line.strip_prefix("#!"));
    let mut words = first.unwrap_or_default().split_whitespace();
    words.any(|word| word.rsplit('/').next() == Some("nft"))
}

/// What a command loads, and from which file.
pub fn loads(command: &Command) -> Option<(Loads, PathBuf)> {
    let mut words = command.words.iter().map(String::as_str);
    let loads = words.find_map(program)?;
    let mut rest = words.filter(|word| *word != "-" && !word.starts_with("/dev/"));
    let file = if loads == Loads::Nft {
        rest.find(|word| matches!(*word, "-f" | "--file"))
            .and_then(|_| rest.next())
    } else {
        rest.find(|word| word.starts_with('/'))
    };
    let file = file.filter(|file| file.starts_with('/'))?;
    Some((loads, PathBuf::from(file)))
}

fn program(word: &str) -> Option<Loads> {
    match word.rsplit('/').next()? {
        "nft" => Some(Loads::Nft),
        "iptables-restore" | "iptables-nft-restore" | "iptables-legacy-restore" => Some(Loads::Iptables),
        "ip6tables-restore" | "ip6tables-nft-restore" | "ip6tables-legacy-restore" => Some(Loads::Ip6tables),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(form: Form, text: &str) -> Vec<(Loads, PathBuf)> {
        commands(form, text).iter().filter_map(loads).collect()
    }

    #[test]
    fn the_usual_ways_to_load_rules_from_a_script_are_understood() {
        let file = |loads, file: &str| vec![(loads, PathBuf::from(file))];
        let script =
            "#!/bin/sh\n# iptables-restore < /etc/old\n/sbin/iptables-restore < /etc/iptables.up.rules\n";
        assert_eq!(
            parse(Form::Script, script),
            file(Loads::Iptables, "/etc/iptables.up.rules")
        );
        let interfaces = "iface eth0 inet dhcp\n    pre-up ip6tables-restore -w 5 </etc/firewall/v6\n";
        assert_eq!(
            parse(Form::Interfaces, interfaces),
            file(Loads::Ip6tables, "/etc/firewall/v6")
        );
        let unit =
            "[Service]\nExecStart=/usr/sbin/nft -f /etc/firewall.nft\nExecStop=/usr/sbin/nft -f /etc/off\n";
        assert_eq!(parse(Form::Unit, unit), file(Loads::Nft, "/etc/firewall.nft"));
        assert_eq!(
            parse(Form::Script, "test -r /etc/x && nft -f /etc/x\n"),
            file(Loads::Nft, "/etc/x")
        );
        let none = "nft -f -\nnft list ruleset\niptables-restore <<EOF\n";
        assert_eq!(parse(Form::Script, none), vec![]);
    }

    #[test]
    fn a_loader_that_empties_the_rules_of_others_is_told_apart() {
        let source = |text: &str| Source {
            path: "/etc/rc.local".into(),
            form: Form::Script,
            enabled: true,
            text: text.to_owned(),
        };
        let empties = |text: &str| {
            loaders(&[source(text)])
                .iter()
                .map(|l| l.empties)
                .collect::<Vec<_>>()
        };
        assert_eq!(empties("iptables-restore /etc/a\n"), [true]);
        assert_eq!(empties("iptables-restore -n /etc/a\n"), [false]);
        assert_eq!(
            empties("nft -f /etc/a; nft flush ruleset; nft -f /etc/b\n"),
            [false, true]
        );
        let own = loaders(&[source("#!/usr/sbin/nft -f\nflush ruleset\n")]);
        assert_eq!(own.first().map(|l| l.file.clone()), Some("/etc/rc.local".into()));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(?s)[ -~\n]{0,160}") {
            for form in [Form::Script, Form::Interfaces, Form::Unit, Form::Cron] {
                let _ = parse(form, &text);
            }
        }
    }
}
