//! Whether the lab can be built here: programs, namespaces, user ids; and what to type when it cannot.

use std::path::Path;

use super::LabError;
use crate::step::{Invocation, Tool};
use crate::system::System;

/// A stretch of user or group ids that belongs to this user besides the own one (subuid(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first id outside.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// Ids that the lab needs besides root: those of sshd and of the terminals' group are below.
const ENOUGH: u64 = 1000;
/// CAP_SYS_ADMIN in the bit masks of /proc/self/status (capabilities(7)).
const SYS_ADMIN: u64 = 1 << 21;

/// Says what is missing, in the words of [`LabError::Missing`].
pub fn missing_text(missing: &[Tool], install: &str) -> String {
    let mut text = "The lab needs programs that are not installed:\n".to_owned();
    for tool in missing {
        text.push_str(&format!("  {:12} package {}\n", tool.name(), tool.package()));
    }
    text.push_str(&format!("Nothing was changed. Type  {install}"));
    if missing.contains(&Tool::Sshd) {
        text.push_str(
            "\n(Debian starts an SSH server when it installs one; the lab needs only the program: \
             systemctl disable --now ssh)",
        );
    }
    text
}

/// All programs that are missing, at once.
pub fn programs(system: &dyn System) -> Result<(), LabError> {
    let mut wanted = vec![
        Tool::Nft,
        Tool::Sshd,
        Tool::Ssh,
        Tool::SshKeygen,
        Tool::Ip,
        Tool::Mount,
        Tool::Unshare,
        Tool::Nsenter,
    ];
    if !system.is_root() {
        wanted.extend([Tool::Newuidmap, Tool::Newgidmap]);
    }
    let missing: Vec<Tool> = wanted
        .into_iter()
        .filter(|&tool| system.locate(tool).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let install = install_line(system, &missing);
    Err(LabError::Missing { missing, install })
}

/// The command of this host's package manager.
fn install_line(system: &dyn System, missing: &[Tool]) -> String {
    let debian = system.resolve(Path::new("/usr/bin/apt-get")).is_some();
    let manager = [
        ("/usr/bin/apt-get", "apt-get install"),
        ("/usr/bin/dnf", "dnf install"),
        ("/usr/bin/zypper", "zypper install"),
    ]
    .into_iter()
    .find(|(path, _)| system.resolve(Path::new(path)).is_some())
    .map_or("your package manager for", |(_, words)| words);
    let mut packages: Vec<&str> = missing
        .iter()
        .map(|tool| package(tool.package(), debian))
        .collect();
    packages.sort_unstable();
    packages.dedup();
    let sudo = if system.is_root() { "" } else { "sudo " };
    format!("{sudo}{manager} {}", packages.join(" "))
}

/// `openssh-client (openssh-clients)` names Debian's package, then that of the RPM world.
fn package(names: &'static str, debian: bool) -> &'static str {
    match names.split_once(" (") {
        Some((first, _)) if debian => first,
        Some((_, second)) => second.trim_end_matches(')'),
        None => names,
    }
}

/// Tries the namespaces that the lab is made of; when they are refused, finds the setting that refuses them.
pub fn namespaces(system: &dyn System) -> Result<(), LabError> {
    let user: &[&str] = if system.is_root() {
        &[]
    } else {
        &["--user", "--map-root-user"]
    };
    let sealed = [
        "--net",
        "--mount",
        "--ipc",
        "--pid",
        "--fork",
        "--mount-proc",
        "ip",
        "link",
    ];
    let words: Vec<&str> = user.iter().chain(sealed.iter()).copied().collect();
    let output = system.run(&Invocation::new(Tool::Unshare, words))?;
    if output.ok() {
        return Ok(());
    }
    let (reason, next) = refusal(system, &output.complaint());
    Err(LabError::Forbidden { reason, next })
}

/// The setting that stands in the way, and the command that changes it.
fn refusal(system: &dyn System, complaint: &str) -> (String, String) {
    let setting = |name: &str| -> Option<u64> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        system.read_text(Path::new(&path))?.trim().parse().ok()
    };
    for name in [
        "user.max_net_namespaces",
        "user.max_mnt_namespaces",
        "user.max_pid_namespaces",
    ] {
        if setting(name) == Some(0) {
            return switch(name, 0, 10_000);
        }
    }
    if system.is_root() {
        if status_field(system, "CapEff").is_some_and(|mask| mask & SYS_ADMIN == 0) {
            return (
                "this is a container whose root has no CAP_SYS_ADMIN".to_owned(),
                "Run the lab outside of the container, or start the container with  --privileged".to_owned(),
            );
        }
    } else {
        if setting("user.max_user_namespaces") == Some(0) {
            return switch("user.max_user_namespaces", 0, 10_000);
        }
        if setting("kernel.unprivileged_userns_clone") == Some(0) {
            return switch("kernel.unprivileged_userns_clone", 0, 1);
        }
        if setting("kernel.apparmor_restrict_unprivileged_userns") == Some(1) {
            return switch("kernel.apparmor_restrict_unprivileged_userns", 1, 0);
        }
    }
    if complaint.contains("mount /proc") || complaint.contains("mount proc") {
        return (
            format!("parts of /proc are hidden, as in a container ({complaint})"),
            "Run the lab outside of the container, or as its root".to_owned(),
        );
    }
    if status_field(system, "Seccomp") == Some(2) {
        return (
            format!("a system call filter (seccomp) is on, as in a container ({complaint})"),
            "Run the lab outside of the container, or start the container with  --privileged".to_owned(),
        );
    }
    let next = if system.is_root() {
        "Try it on another host".to_owned()
    } else {
        "As root it needs less: type  sudo faspwall lab".to_owned()
    };
    (complaint.to_owned(), next)
}

fn switch(name: &str, is: u64, wanted: u64) -> (String, String) {
    (
        format!("the kernel setting {name} is {is}"),
        format!("Type  sudo sysctl {name}={wanted}  or run the lab as root: sudo faspwall lab"),
    )
}

/// A number in /proc/self/status; the masks are hexadecimal, and so a single digit reads the same.
fn status_field(system: &dyn System, name: &str) -> Option<u64> {
    let status = system.read_text(Path::new("/proc/self/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The ids that /etc/subuid or /etc/subgid gives this user.
pub fn range(system: &dyn System, file: &str) -> Result<Range, LabError> {
    let uid = system.ids().0.to_string();
    let passwd = system.read_text(Path::new("/etc/passwd")).unwrap_or_default();
    let name = name_of(&passwd, &uid)
        .map(str::to_owned)
        .or_else(|| system.env("USER"))
        .unwrap_or_else(|| uid.clone());
    let text = system.read_text(Path::new(file)).unwrap_or_default();
    find_range(&text, &name, &uid).ok_or_else(|| LabError::Forbidden {
        reason: format!("{file} gives the user {name} no range of at least {ENOUGH} ids"),
        next: format!(
            "Type  sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}  \
             or run the lab as root: sudo faspwall lab"
        ),
    })
}

fn name_of<'a>(passwd: &'a str, uid: &str) -> Option<&'a str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    })
}

fn find_range(text: &str, name: &str, uid: &str) -> Option<Range> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let who = fields.next()?;
            let first = fields.next()?.parse().ok()?;
            let count = fields.next()?.parse().ok()?;
            (who == name || who == uid).then_some(Range { first, count })
        })
        .find(|range| range.count >= ENOUGH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_by_name_or_number_and_must_be_large_enough() {
        let text = "root:1:5\nann:100000:65536\n1001:200000:65536\nbob:300000:10\n";
        let found = |name, uid| find_range(text, name, uid).map(|range| range.first);
        assert_eq!(found("ann", "1000"), Some(100_000));
        assert_eq!(found("cid", "1001"), Some(200_000));
        assert_eq!(found("bob", "1002"), None);
    }

    #[test]
    fn all_missing_programs_are_named_with_their_packages() {
        let text = missing_text(
            &[Tool::Nft, Tool::Sshd],
            "apt-get install nftables openssh-server",
        );
        for word in [
            "nft ",
            "package nftables",
            "sshd ",
            "package openssh-server",
            "disable --now ssh",
        ] {
            assert!(text.contains(word), "{word} in {text}");
        }
    }

    #[test]
    fn a_package_has_two_names() {
        assert_eq!(
            package("openssh-client (openssh-clients)", true),
            "openssh-client"
        );
        assert_eq!(
            package("openssh-client (openssh-clients)", false),
            "openssh-clients"
        );
        assert_eq!(package("nftables", false), "nftables");
    }

    #[test]
    fn the_name_of_a_number_comes_from_passwd() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(name_of(passwd, "1000"), Some("ann"));
        assert_eq!(name_of(passwd, "7"), None);
    }
}
