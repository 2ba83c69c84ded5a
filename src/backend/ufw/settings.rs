//! What ufw's configuration files say: whether it is on, whether it looks after IPv6, what it does with the rest.

use std::path::Path;

use super::tuple::Traffic;
use crate::facts::{Facts, InboundDefault};

/// Whether ufw is on.
pub const CONF: &str = "/etc/ufw/ufw.conf";
/// Its defaults.
pub const DEFAULTS: &str = "/etc/default/ufw";
/// Rules of its operator for IPv4, and for IPv6.
pub const RULES: [&str; 2] = ["/etc/ufw/user.rules", "/etc/ufw/user6.rules"];
/// Rules that come before them.
pub const BEFORE: [&str; 2] = ["/etc/ufw/before.rules", "/etc/ufw/before6.rules"];
/// Rules that come after them.
pub const AFTER: [&str; 2] = ["/etc/ufw/after.rules", "/etc/ufw/after6.rules"];

/// Every file of ufw that is read.
pub fn files() -> impl Iterator<Item = &'static str> {
    [CONF, DEFAULTS]
        .into_iter()
        .chain(RULES)
        .chain(BEFORE)
        .chain(AFTER)
}

/// The settings that decide about packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `ENABLED=yes`
    pub enabled: bool,
    /// `IPV6=yes`; without it ufw drops all IPv6 but on loopback.
    pub ipv6: bool,
    /// What becomes of a packet to this host that no rule names.
    pub input: InboundDefault,
    /// What becomes of one that leaves it.
    pub output: InboundDefault,
}

/// The value of the last `NAME=value` line, as the shell that reads the file would see it.
fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))
        .next_back()
        .map(|value| value.split('#').next().unwrap_or_default())
        .map(|value| value.trim().trim_matches(['"', '\'']))
}

fn yes(text: &str, name: &str) -> bool {
    value(text, name).is_some_and(|value| value.eq_ignore_ascii_case("yes"))
}

fn policy(text: &str, name: &str, unsaid: InboundDefault) -> InboundDefault {
    match value(text, name).map(str::to_uppercase).as_deref() {
        Some("ACCEPT") => InboundDefault::Accept,
        Some("DROP") => InboundDefault::Drop,
        Some("REJECT") => InboundDefault::Reject,
        _ => unsaid,
    }
}

impl Settings {
    /// Reads both files.
    pub fn parse(conf: &str, defaults: &str) -> Self {
        Self {
            enabled: yes(conf, "ENABLED"),
            ipv6: yes(defaults, "IPV6"),
            input: policy(defaults, "DEFAULT_INPUT_POLICY", InboundDefault::Drop),
            output: policy(defaults, "DEFAULT_OUTPUT_POLICY", InboundDefault::Accept),
        }
    }

    /// What becomes of such packets when no rule names them.
    pub fn policy(&self, traffic: &Traffic) -> InboundDefault {
        if traffic.outbound { self.output } else { self.input }
    }

    /// Those of a host.
    pub fn of(facts: &Facts) -> Self {
        let text = |path: &str| facts.observations.files.get(Path::new(path));
        let text = |path: &str| text(path).map(String::as_str).unwrap_or_default();
        Self::parse(text(CONF), text(DEFAULTS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_recorded_files_of_debian_are_understood() {
        let settings = Settings::parse(
            include_str!("../../../tests/machines/debian-12-ufw/ufw.conf"),
            include_str!("../../../tests/machines/debian-12-ufw/default-ufw"),
        );
        let wanted = Settings {
            enabled: true,
            ipv6: true,
            input: InboundDefault::Drop,
            output: InboundDefault::Accept,
        };
        assert_eq!(settings, wanted);
    }

    #[test]
    fn the_last_line_counts_and_quotes_do_not() {
        let settings = Settings::parse(
            "ENABLED=yes\nENABLED='no'\n",
            "IPV6=\"no\"\nDEFAULT_INPUT_POLICY=REJECT\nDEFAULT_OUTPUT_POLICY='DROP'\n#IPV6=yes\n",
        );
        assert!(!settings.enabled && !settings.ipv6);
        assert_eq!(settings.input, InboundDefault::Reject);
        assert_eq!(settings.output, InboundDefault::Drop);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(?s).{0,200}") {
            let _ = Settings::parse(&text, &text);
        }
    }
}
