//! The stage `host`: builds the server and its peer, logs in from the peer, sums up.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{BIN, HOME, LabError, PEER, SERVER, seal};
use crate::harmless;
use crate::sealed;
use crate::step::{Invocation, Tool, quoted};
use crate::system::{System, SystemError};

/// Files of /etc that are the lab's own: path, content, mode.
const FILES: [(&str, &str, u32); 9] = [
    (
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\nsshd:x:74:74::/run/sshd:/usr/sbin/nologin\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        0o644,
    ),
    (
        "group",
        "root:x:0:\ntty:x:5:\nsshd:x:74:\nnogroup:x:65534:\n",
        0o644,
    ),
    // No password fits, but the account is not locked: a key may log in.
    (
        "shadow",
        "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\nnobody:*:19000::::::\n",
        0o600,
    ),
    (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
        0o644,
    ),
    (
        "hosts",
        "127.0.0.1 localhost\n::1 localhost\n10.88.0.2 server\nfd88::2 server\n10.88.0.1 peer\nfd88::1 peer\n",
        0o644,
    ),
    (
        "nftables.conf",
        include_str!("../../assets/lab/nftables.conf"),
        0o755,
    ),
    (
        "ssh/sshd_config",
        include_str!("../../assets/lab/sshd_config"),
        0o644,
    ),
    (
        "ssh/ssh_config",
        include_str!("../../assets/lab/ssh_config"),
        0o644,
    ),
    ("fstab", "", 0o644),
];
/// Files of the host's /etc that the programs here read.
const COPIED: [&str; 9] = [
    "os-release",
    "ld.so.cache",
    "ld.so.conf",
    "services",
    "protocols",
    "localtime",
    "debian_version",
    "redhat-release",
    "inputrc",
];
/// Directories of the host's /etc that the programs here read.
const BOUND: [&str; 7] = [
    "alternatives",
    "terminfo",
    "crypto-policies",
    "ssl",
    "pki",
    "ld.so.conf.d",
    "selinux",
];
/// How long sshd may take to listen.
const LISTENS: Duration = Duration::from_secs(10);
/// A table of somebody else that is in no file.
const BANS: &str = include_str!("../../assets/lab/bans.nft");
/// The two ends of the cable, for `ip -batch`.
const SERVER_LINKS: &str = "\
link set lo up
link add eth0 type veth peer name eth0 netns peer
address add 10.88.0.2/24 dev eth0
link set eth0 up
route add default via 10.88.0.1
";
const PEER_LINKS: &str = "\
link set lo up
address add 10.88.0.1/24 dev eth0
link set eth0 up
";

/// Builds the lab, runs the command on the server in a login from the peer, and tells how the server was left.
pub fn host(system: &dyn System, command: &[String]) -> Result<u8, LabError> {
    sealed::check(system).map_err(LabError::NotSealed)?;
    // Its path as the other terminal can type it: it need not be installed. Asked before the lab hides what it hides.
    let program = system.locate(Tool::Faspwall).unwrap_or_default();
    build(system)?;
    println!(
        "faspwall lab: a sealed server at {SERVER}, SSH on port 22. This host stays as it is.\n\
         The peer logs in now. To be the peer yourself, type in another terminal:\n  {} lab enter",
        quoted(&program.to_string_lossy())
    );
    let line: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    let target = format!("root@{SERVER}");
    let words = ["netns", "exec", PEER, "ssh", "-tt", &target, &line.join(" ")];
    let status = system.run_on_terminal(&Invocation::new(Tool::Ip, words), &[])?;
    // 255 is ssh's own: the wizard never ends with it.
    if status == Some(255) {
        println!("The login from the peer ended before the command on the server did.");
        print!(
            "{}",
            harmless::lines(&system.read_text(&log()).unwrap_or_default())
        );
    }
    println!("{}", summary(system)?);
    Ok(super::start::code(status))
}

fn build(system: &dyn System) -> Result<(), SystemError> {
    // Its path may lie below a directory that is about to be covered.
    let program = match system.locate(Tool::Faspwall) {
        Some(path) => system.read(&path)?,
        None => None,
    }
    .ok_or(SystemError::Missing { tool: Tool::Faspwall })?;
    seal::private_files(system)?;
    system.make_dir(Path::new(BIN), 0o755)?;
    system.replace(&Path::new(BIN).join("faspwall"), &program, 0o755)?;
    private_etc(system)?;
    keys(system)?;
    network(system)?;
    system.run_ok(&Invocation::new(Tool::Nft, ["-f", "/etc/nftables.conf"]))?;
    system.run_ok(&Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(BANS))?;
    for dir in ["/run/sshd", "/var/empty/sshd"] {
        if system
            .mode(Path::new(dir).parent().unwrap_or(Path::new("/")))
            .is_some()
        {
            system.make_dir(Path::new(dir), 0o755)?;
        }
    }
    let log = log().to_string_lossy().into_owned();
    system.run_ok(&Invocation::new(Tool::Sshd, ["-E", &log]))?;
    // It goes into the background before it listens. Should it never do so, the login of the peer tells why.
    sealed::poll(system, LISTENS, || listening(system).contains(&22).then_some(()));
    Ok(())
}

fn log() -> PathBuf {
    Path::new(HOME).join("sshd.log")
}

/// An /etc of our own in memory: the host's settings neither disturb the lab nor are disturbed by it.
fn private_etc(system: &dyn System) -> Result<(), SystemError> {
    let etc = Path::new(HOME).join("etc");
    system.make_dir(&etc.join("ssh/sshd_config.d"), 0o755)?;
    for (name, content, mode) in FILES {
        system.replace(&etc.join(name), content.as_bytes(), mode)?;
    }
    for name in COPIED {
        if let Some(bytes) = system.read(&Path::new("/etc").join(name))? {
            system.replace(&etc.join(name), &bytes, 0o644)?;
        }
    }
    for name in BOUND {
        let from = Path::new("/etc").join(name);
        if system.resolve(&from).is_some() {
            let to = etc.join(name);
            system.make_dir(&to, 0o755)?;
            system.run_ok(&sealed::mount([
                "--rbind",
                &from.to_string_lossy(),
                &to.to_string_lossy(),
            ]))?;
        }
    }
    system.run_ok(&sealed::mount(["--rbind", &etc.to_string_lossy(), "/etc"]))?;
    Ok(())
}

/// The server's host key, and the key with which the peer logs in.
fn keys(system: &dyn System) -> Result<(), SystemError> {
    let peer = Path::new(HOME).join("peer");
    system.make_dir(&peer, 0o700)?;
    let key = peer.join("key");
    for (path, comment) in [
        ("/etc/ssh/ssh_host_ed25519_key", "server"),
        (&*key.to_string_lossy(), "operator"),
    ] {
        let words = ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path];
        system.run_ok(&Invocation::new(Tool::SshKeygen, words))?;
    }
    let public = system.read(&key.with_extension("pub"))?.unwrap_or_default();
    system.make_dir(Path::new("/root/.ssh"), 0o700)?;
    system.replace(Path::new("/root/.ssh/authorized_keys"), &public, 0o600)
}

fn network(system: &dyn System) -> Result<(), SystemError> {
    let ip = |words: &[&str], stdin: &str| {
        system.run_ok(&Invocation::new(Tool::Ip, words.iter().copied()).with_stdin(stdin))
    };
    ip(&["netns", "add", PEER], "")?;
    ip(&["-batch", "-"], SERVER_LINKS)?;
    ip(&["-n", PEER, "-batch", "-"], PEER_LINKS)?;
    // A kernel without IPv6 has a lab without it.
    if system.resolve(Path::new("/proc/sys/net/ipv6")).is_some() {
        ip(&["address", "add", "fd88::2/64", "dev", "eth0", "nodad"], "")?;
        let words = ["-n", PEER, "address", "add", "fd88::1/64", "dev", "eth0", "nodad"];
        ip(&words, "")?;
    }
    Ok(())
}

/// How the server was left, tried from the peer with new logins.
fn summary(system: &dyn System) -> Result<String, SystemError> {
    let mut ports = listening(system);
    ports.insert(22);
    let mut lines =
        vec!["The lab has ended and this host was not changed. At the end its server had:".to_owned()];
    for port in ports {
        let (number, target) = (port.to_string(), format!("root@{SERVER}"));
        let words = [
            "netns",
            "exec",
            PEER,
            "ssh",
            "-T",
            "-n",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=2",
            "-p",
            &number,
            &target,
            "exit",
        ];
        let output = system.run(&Invocation::new(Tool::Ip, words))?;
        let complaint = output.complaint();
        let state = if output.ok() {
            "open: a new SSH login works".to_owned()
        } else if complaint.contains("timed out") {
            "closed: no answer".to_owned()
        } else if complaint.contains("refused") {
            "closed: refused".to_owned()
        } else {
            format!("no login: {complaint}")
        };
        lines.push(format!("  {:12}{state}", format!("TCP/{port}")));
    }
    Ok(lines.join("\n"))
}

/// TCP ports that somebody on the server listens on (proc_net(5): state 0A, the port in hexadecimal).
fn listening(system: &dyn System) -> BTreeSet<u16> {
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .filter_map(|path| system.read_text(Path::new(path)))
        .flat_map(|table| {
            table
                .lines()
                .filter_map(|line| {
                    let mut fields = line.split_whitespace().skip(1);
                    let port = fields.next()?.rsplit_once(':')?.1.to_owned();
                    (fields.nth(1)? == "0A").then(|| u16::from_str_radix(&port, 16).ok())?
                })
                .collect::<Vec<_>>()
        })
        .collect()
}
