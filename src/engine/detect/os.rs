//! The operating system: name, kernel, service manager, SELinux.

use std::path::Path;

use crate::facts::Os;
use crate::system::System;

/// Looks at os-release(5), the kernel's release and process 1.
pub fn os(system: &dyn System) -> Os {
    let release = system
        .read_text(Path::new("/etc/os-release"))
        .or_else(|| system.read_text(Path::new("/usr/lib/os-release")))
        .unwrap_or_default();
    let mut os = parse_release(&release);
    os.kernel = first_line(system, "/proc/sys/kernel/osrelease").unwrap_or_default();
    // sd_booted(3): the directory exists only where systemd is process 1.
    os.systemd = system.mode(Path::new("/run/systemd/system")).is_some();
    os
}

/// Name of the host.
pub fn hostname(system: &dyn System) -> String {
    first_line(system, "/proc/sys/kernel/hostname").unwrap_or_default()
}

/// SELinux: `enforcing`, `permissive`, `None` when it is off.
pub fn selinux(system: &dyn System) -> Option<String> {
    let mode = first_line(system, "/sys/fs/selinux/enforce")?;
    Some(if mode == "1" { "enforcing" } else { "permissive" }.to_owned())
}

fn first_line(system: &dyn System, path: &str) -> Option<String> {
    let text = system.read_text(Path::new(path))?;
    text.lines().next().map(|line| line.trim().to_owned())
}

fn parse_release(text: &str) -> Os {
    let value = |name: &str| {
        text.lines()
            .filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']).to_owned())
            .next_back()
            .unwrap_or_default()
    };
    Os {
        id: value("ID"),
        version: value("VERSION_ID"),
        name: value("PRETTY_NAME"),
        ..Os::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn releases_of_real_hosts_are_read() {
        let os = parse_release(include_str!("../../../tests/machines/debian-12/os-release"));
        assert_eq!((os.id.as_str(), os.version.as_str()), ("debian", "12"));
        assert_eq!(os.name, "Debian GNU/Linux 12 (bookworm)");
        let os = parse_release(include_str!("../../../tests/machines/debian-13/os-release"));
        assert_eq!((os.id.as_str(), os.version.as_str()), ("debian", "13"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(?s).{0,120}") {
            let _ = parse_release(&text);
        }
    }
}
