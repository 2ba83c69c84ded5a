//! The commands in a script, a unit, a file of ifupdown, a table of cron: enough of them to see which programs are
//! called with which words. Pure.

/// Where the commands stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In every line.
    Script,
    /// After `pre-up`, `up`, `post-up`.
    Interfaces,
    /// After `ExecStart=` and its like.
    Unit,
    /// After `@reboot`.
    Cron,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Line of the text, from 1.
    pub line: usize,
    /// Its words, without quotes.
    pub words: Vec<String>,
}

impl Command {
    /// Whether one of its words is among these.
    pub fn has(&self, wanted: &[&str]) -> bool {
        self.words.iter().any(|word| wanted.contains(&word.as_str()))
    }
}

/// The commands that are run at boot.
pub fn commands(form: Form, text: &str) -> Vec<Command> {
    let mut found = Vec::new();
    for (line, text) in joined_lines(text) {
        let Some(run) = run_at_boot(form, text.trim()) else {
            continue;
        };
        let parts = run.replace("&&", "\n").replace([';', '|', '`', '(', ')'], "\n");
        for part in parts.lines() {
            let plain = part.replace(['<', '"', '\'', '='], " ");
            let words: Vec<String> = plain
                .split_whitespace()
                .take_while(|word| !word.starts_with('#'))
                .map(str::to_owned)
                .collect();
            if !words.is_empty() {
                found.push(Command { line, words });
            }
        }
    }
    found
}

/// Lines with the number of each; one that ends with a backslash goes on in the next.
fn joined_lines(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in text.lines().enumerate() {
        let (part, more) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match found.last_mut().filter(|_| goes_on) {
            Some((_, whole)) => {
                whole.push(' ');
                whole.push_str(part);
            }
            None => found.push((number + 1, part.to_owned())),
        }
        goes_on = more;
    }
    found
}

/// The part of a line that is run at boot.
fn run_at_boot(form: Form, line: &str) -> Option<&str> {
    if line.starts_with('#') {
        return None;
    }
    match form {
        Form::Script => Some(line),
        Form::Interfaces => {
            let (word, rest) = line.split_once(char::is_whitespace)?;
            ["pre-up", "up", "post-up"].contains(&word).then_some(rest)
        }
        Form::Unit => {
            let (key, value) = line.split_once('=')?;
            let starts = ["ExecStart", "ExecStartPre", "ExecStartPost"].contains(&key.trim());
            starts.then(|| value.trim_start_matches([' ', '-', '@', '+', '!', ':']))
        }
        Form::Cron => line.strip_prefix("@reboot"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(form: Form, text: &str) -> Vec<String> {
        let all = commands(form, text).into_iter();
        all.map(|c| format!("{} {}", c.line, c.words.join(" "))).collect()
    }

    #[test]
    fn only_what_is_run_at_boot_is_a_command() {
        let script = "#!/bin/sh\n\nIPT=\"/sbin/iptables\" # the program\n[ -x /a ] && $IPT -P INPUT \\\n  DROP; exit 0\n";
        assert_eq!(
            words(Form::Script, script),
            [
                "3 IPT /sbin/iptables",
                "4 [ -x /a ]",
                "4 $IPT -P INPUT DROP",
                "4 exit 0"
            ]
        );
        let interfaces = "iface eth0 inet dhcp\n  up /a b\n  down /c\n  pre-up /d\n";
        assert_eq!(words(Form::Interfaces, interfaces), ["2 /a b", "4 /d"]);
        let unit = "[Service]\nExecStartPre=-/a\nExecStart=/b c\nExecStop=/d\n";
        assert_eq!(words(Form::Unit, unit), ["2 /a", "3 /b c"]);
        let cron = "5 * * * * root /a\n@reboot root /b\n";
        assert_eq!(words(Form::Cron, cron), ["2 root /b"]);
    }
}
