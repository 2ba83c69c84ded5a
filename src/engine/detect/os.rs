//! The operating system: name, kernel, service manager, SELinux.

use std::path::{Path, PathBuf};

use super::processes::{Process, Processes};
use crate::facts::Os;
use crate::system::System;

/// There where OpenRC runs what lies in `/etc/local.d`.
const OPENRC_LOCAL: &str = "/etc/runlevels/default/local";

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
    os.boot_hook = (!os.systemd).then(|| boot_hook(system)).flatten();
    os
}

/// The file that gets something done after a boot: one for the cron of Vixie's line, or one for OpenRC. The crond of
/// busybox knows neither `@reboot` nor that directory.
fn boot_hook(system: &dyn System) -> Option<PathBuf> {
    let there = |path: &str| system.mode(Path::new(path)).is_some();
    let cron = |process: &&Process| {
        let program = system.read_link(&PathBuf::from(format!("/proc/{}/exe", process.pid)));
        let busybox = program.is_some_and(|path| path.ends_with("busybox"));
        matches!(process.comm.as_str(), "cron" | "crond") && process.parent <= 1 && !busybox
    };
    if there(OPENRC_LOCAL) && there("/etc/local.d") {
        return Some(PathBuf::from("/etc/local.d/faspwall-recover.start"));
    }
    if there("/etc/cron.d") && Processes::read(system).all().find(cron).is_some() {
        return Some(PathBuf::from("/etc/cron.d/faspwall-recover"));
    }
    None
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
