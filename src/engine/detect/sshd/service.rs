//! How a service would start sshd: its program and arguments, before there is a process to ask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::engine::detect::PROBE_LIMIT;
use crate::step::{Invocation, Tool};
use crate::system::System;

/// An instance of the template that a socket with `Accept=yes` starts for each connection.
pub fn instance_of(socket: &str) -> String {
    let name = socket.strip_suffix(".socket").unwrap_or(socket);
    format!("{name}@faspwall.service")
}

/// The program of a service and its arguments, with the variables in them filled in.
pub fn started_by(system: &dyn System, service: &str) -> (Option<PathBuf>, Vec<String>) {
    let properties = "ExecStart,Environment,EnvironmentFiles";
    let call =
        Invocation::new(Tool::Systemctl, ["show", "-p", properties, "--", service]).within(PROBE_LIMIT);
    let output = system.run(&call).unwrap_or_default();
    let read = |path: &Path| system.read_text(path);
    parse(&output.stdout, &read).unwrap_or_default()
}

/// Reads `ExecStart={ path=/usr/sbin/sshd ; argv[]=/usr/sbin/sshd -D $SSHD_OPTS ; ... }` and what its variables hold.
fn parse(text: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<(Option<PathBuf>, Vec<String>)> {
    let values = |key: &str| {
        let key = format!("{key}=");
        text.lines()
            .filter_map(move |line| line.strip_prefix(&key).map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let mut variables = BTreeMap::new();
    for line in values("Environment") {
        variables.extend(line.split_whitespace().filter_map(setting));
    }
    for line in values("EnvironmentFiles") {
        let path = line.split(" (ignore_errors").next().unwrap_or_default();
        let content = read(Path::new(path)).unwrap_or_default();
        variables.extend(content.lines().filter_map(setting));
    }
    let start = values("ExecStart").into_iter().next()?;
    let field = |key: &str| {
        start
            .split(" ; ")
            .find_map(|part| part.trim_start_matches("{ ").strip_prefix(key))
    };
    let program = field("path=").map(PathBuf::from);
    let mut words = field("argv[]=")?.split_whitespace();
    words.next()?;
    Some((
        program,
        words.flat_map(|word| expanded(word, &variables)).collect(),
    ))
}

/// `NAME=value`, in quotes or not; `None` for a comment.
fn setting(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim().split_once('=')?;
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let quotes = ['"', '\''].into_iter();
    let inner = quotes
        .filter_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .next();
    (plain && !name.is_empty()).then(|| (name.to_owned(), inner.unwrap_or(value).to_owned()))
}

/// A word as systemd fills it in: `$NAME` alone becomes as many words as its value has, `${NAME}` is a part of one.
fn expanded(word: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    if let Some(name) = word.strip_prefix('$').filter(|name| !name.starts_with('{')) {
        let value = variables.get(name).map(String::as_str).unwrap_or_default();
        return value.split_whitespace().map(str::to_owned).collect();
    }
    let mut text = word.to_owned();
    for (name, value) in variables {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    vec![text]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_service_are_filled_in() {
        let text = "ExecStart={ path=/usr/sbin/sshd ; argv[]=/usr/sbin/sshd -i $SSHD_OPTS -o PidFile=${RUN}/x $NONE ; \
                    ignore_errors=yes ; start_time=[n/a] ; pid=0 }\nEnvironment=RUN=/run\n\
                    EnvironmentFiles=/etc/default/ssh (ignore_errors=yes)\n";
        let read = |path: &Path| {
            (path == Path::new("/etc/default/ssh"))
                .then(|| "# x\nSSHD_OPTS=\"-f /etc/ssh/main -4\"\n".to_owned())
        };
        let (program, words) = parse(text, &read).expect("read");
        assert_eq!(program.as_deref(), Some(Path::new("/usr/sbin/sshd")));
        assert_eq!(words, ["-i", "-f", "/etc/ssh/main", "-4", "-o", "PidFile=/run/x"]);
        assert_eq!(parse("ExecStart=\n", &read), None);
        assert_eq!(instance_of("ssh.socket"), "ssh@faspwall.service");
    }
}
