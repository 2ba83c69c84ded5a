//! sshd's files, its includes, and what `sshd -T` prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faspwall::facts::{Activation, SshFacts, SshdConfig};
use faspwall::sshd::change::listen_on;
use faspwall::sshd::command_line::{config_arguments, config_file};
use faspwall::sshd::config::{
    Effective, Source, expand, failed_logins, files, listener_command, matches_glob, parse, ports_in_files,
    version,
};

const MAIN: &str = "/etc/ssh/sshd_config";
const INCLUDED: &str = "/etc/ssh/sshd_config.d/50-cloud-init.conf";

/// Two texts: the main file, and a file in the directory of drop-ins. Whatever they say, after a move sshd listens on
/// the ports that were asked for, or the move is refused; lines of others stay, if only as comments.
pub fn config(bytes: &[u8]) {
    let [main, included] = super::parts(bytes);
    let count = main.lines().count();
    for line in parse(&main) {
        assert!(line.number >= 1 && line.number <= count);
        assert!(line.arguments.len() <= main.len());
    }
    let ssh = facts(&[(MAIN, &main), (INCLUDED, &included)]);
    for ports in [vec![33001], vec![22, 33001]] {
        let changes = match listen_on(&ssh, &ports) {
            Ok(changes) => changes,
            Err(error) => {
                super::readable(&error.to_string());
                continue;
            }
        };
        for change in &changes {
            let before = change.before.clone().unwrap_or_default();
            let after = change.after.clone().unwrap_or_default();
            // A carriage return at the end of a line is the operator's as well.
            let mut rest = after.split_terminator('\n');
            for line in before
                .split_terminator('\n')
                .filter(|_| !change.path.ends_with("00-faspwall.conf"))
            {
                let kept = |new: &str| new == line || new.strip_prefix("#faspwall ") == Some(line);
                assert!(
                    rest.any(kept),
                    "the line {line:?} is lost in {}",
                    change.path.display()
                );
            }
        }
        let now = after(&ssh, &changes);
        let again = listen_on(&now, &ports).expect("moved once, it can be moved");
        assert!(again.is_empty(), "moved twice is not moved once: {again:?}");
    }
}

fn facts(files: &[(&str, &str)]) -> SshFacts {
    let files = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()));
    SshFacts {
        daemon: String::from("OpenSSH_9.2p1"),
        ports: vec![22],
        activation: Activation::Service(String::from("ssh.service")),
        config: SshdConfig {
            main: MAIN.into(),
            files: files.collect(),
            ports: vec![22],
            ..SshdConfig::default()
        },
        ..SshFacts::default()
    }
}

fn after(ssh: &SshFacts, changes: &[faspwall::sshd::change::FileChange]) -> SshFacts {
    let mut files: BTreeMap<PathBuf, String> = ssh.config.files.iter().cloned().collect();
    for change in changes {
        match &change.after {
            Some(text) => drop(files.insert(change.path.clone(), text.clone())),
            None => drop(files.remove(&change.path)),
        }
    }
    let main = files.remove(Path::new(MAIN)).unwrap_or_default();
    let mut now = ssh.clone();
    now.config.files = std::iter::once((PathBuf::from(MAIN), main))
        .chain(files)
        .collect();
    now
}

/// A folder of three files that include whatever they say.
struct Folder(BTreeMap<PathBuf, String>);

impl Source for Folder {
    fn read(&self, path: &Path) -> Option<String> {
        self.0.get(path).cloned()
    }

    fn list(&self, dir: &Path) -> Vec<PathBuf> {
        self.0
            .keys()
            .filter(|path| path.parent() == Some(dir))
            .cloned()
            .collect()
    }
}

pub fn include(bytes: &[u8]) {
    let texts: [String; 3] = super::parts(bytes);
    let names = [
        MAIN,
        "/etc/ssh/sshd_config.d/a.conf",
        "/etc/ssh/sshd_config.d/b.conf",
    ];
    let folder = Folder(names.iter().map(PathBuf::from).zip(texts.clone()).collect());
    let found = files(Path::new(MAIN), &folder);
    assert!(found.len() <= names.len(), "a file is read twice");
    let ports = ports_in_files(&found);
    assert!(!ports.is_empty());
    for pattern in texts[0].lines().take(4) {
        for path in expand(&Path::new("/etc/ssh").join(pattern), &folder) {
            drop(folder.read(&path));
        }
        assert!(matches_glob("*", pattern) != pattern.starts_with('.'));
        let _ = matches_glob(pattern, "50-cloud-init.conf");
    }
}

pub fn effective(bytes: &[u8]) {
    let text = super::text(bytes);
    let read = Effective::parse(&text);
    assert_eq!(
        read.ports().len(),
        read.values("port")
            .iter()
            .filter(|port| port.parse::<u16>().is_ok())
            .count()
    );
    drop((read.value("permitrootlogin"), read.listen_addresses()));
    if let Some(version) = version(&text) {
        assert!(version.starts_with("OpenSSH_") && !version.contains(char::is_whitespace));
    }
    let (_, arguments) = listener_command(&text);
    let kept = config_arguments(&arguments);
    assert_eq!(
        config_arguments(&kept),
        kept,
        "what was kept is not kept once more"
    );
    drop(config_file(&arguments));
    assert!(failed_logins(&text) <= u64::try_from(text.lines().count()).expect("a number"));
}
