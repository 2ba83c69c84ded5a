//! One machine: boot, programs inside, files, reboot, loss of power.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::terminal::Terminal;
use super::{Ran, Suite, base, host, host_ok, host_run, seconds, wait};

/// Process 1 of a machine without systemd.
const PLAIN_INIT: &str = "#!/bin/sh\nmkdir -p /run/sshd\nssh-keygen -A >/dev/null\nnft -f /etc/nftables.conf\n\
    /usr/sbin/sshd\n: >/run/up\nwhile :; do sleep 1; done\n";

/// Where the kernel keeps its control groups, old and new style.
const CONTROL_GROUPS: [&str; 3] = [
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup/systemd",
];
/// Goes into the control groups that stand before `--` and becomes the program behind it.
const IN_GROUPS: &str =
    "while [ \"$1\" != -- ]; do echo $$ >\"$1/cgroup.procs\"; shift; done; shift; exec \"$@\"";

/// A booted Debian; halted and cleared away on drop.
#[derive(Debug)]
pub struct Machine {
    number: u8,
    dir: PathBuf,
    nspawn: Option<Child>,
    /// Its process 1, as this host numbers it.
    leader: u32,
    /// Whether process 1 is systemd; else it is [`PLAIN_INIT`].
    systemd: bool,
    /// Keeps the number ours.
    _number_lock: File,
}

impl Machine {
    /// Boots a fresh machine of that suite.
    pub fn boot(suite: Suite) -> Self {
        let mut machine = Self::off(suite);
        machine.power_on();
        machine
    }

    /// The same with a shell script as process 1: the ruleset is loaded from `/etc/nftables.conf`, sshd runs by itself.
    pub fn boot_without_systemd(suite: Suite) -> Self {
        let mut machine = Self::off(suite);
        machine.systemd = false;
        machine.put("/sbin/plain-init", PLAIN_INIT, 0o755);
        machine.power_on();
        machine
    }

    fn off(suite: Suite) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "real machines need root: sudo bash tests/run"
        );
        for tool in [
            "systemd-nspawn",
            "debootstrap",
            "nsenter",
            "ip",
            "ssh",
            "nmap",
            "tmux",
        ] {
            drop(host(tool));
        }
        let tree = base::tree(suite);
        let (number, lock) = (1..=250)
            .find_map(|n| base::try_locked(&format!("machine-{n}.lock")).map(|lock| (n, lock)))
            .expect("a free machine number");
        let dir = base::cache().join(format!("machine-{number}"));
        clear(number, &dir);
        fs::create_dir_all(&dir).expect("the machine's directory");
        // The disk's writable half lies in memory: an overlay cannot be laid on another overlay.
        host_ok(
            "mount",
            &["-t", "tmpfs", "-o", "size=2g,mode=755", "tmpfs", text(&dir)],
        );
        for part in ["up", "work", "root"] {
            fs::create_dir(dir.join(part)).expect("a directory of the machine");
        }
        let layers = format!(
            "lowerdir={0},upperdir={1}/up,workdir={1}/work",
            text(&tree),
            text(&dir)
        );
        host_ok(
            "mount",
            &["-t", "overlay", "overlay", "-o", &layers, text(&dir.join("root"))],
        );
        Self {
            number,
            dir,
            nspawn: None,
            leader: 0,
            systemd: true,
            _number_lock: lock,
        }
    }

    /// The number in its addresses.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// This host's end of its cable.
    pub fn veth(&self) -> String {
        veth(self.number)
    }

    /// Its directory tree as this host sees it, for looking at files also while it is off.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Boots what is on its disk; returns when systemd has started everything.
    pub fn power_on(&mut self) {
        self.switch_on();
        self.come_up();
    }

    /// Begins to boot what is on its disk.
    pub fn switch_on(&mut self) {
        assert!(self.nspawn.is_none(), "the machine is on already");
        let name = format!("fw{}", self.number);
        let console = File::create(self.dir.join("console.log")).expect("console.log");
        // systemd takes what runs in the group of a service for that service: machines must not share theirs.
        remove_groups(self.number);
        let mut command = Command::new("sh");
        command.args(["-c", IN_GROUPS, "sh"]);
        for group in groups(self.number) {
            if fs::create_dir_all(&group).is_ok() {
                command.arg(group);
            }
        }
        command
            .args(["--", "systemd-nspawn"])
            .args([
                "-q",
                "--register=no",
                "--keep-unit",
                "--network-veth",
                "--private-users=no",
            ])
            .arg(format!("--machine={name}"))
            .arg("-D")
            .arg(self.root())
            .arg(if self.systemd { "-b" } else { "/sbin/plain-init" })
            .stderr(console.try_clone().expect("console.log twice"))
            .stdout(console)
            .process_group(0);
        let child = command.spawn().expect("systemd-nspawn starts");
        fs::write(self.dir.join("pid"), child.id().to_string()).expect("pid");
        let nspawn = child.id();
        self.nspawn = Some(child);
        self.leader = wait("process 1 of the machine", seconds(20), || leader_of(nspawn));
        let veth = self.veth();
        wait("the machine's cable", seconds(20), || {
            Path::new("/sys/class/net").join(&veth).exists().then_some(())
        });
        let n = self.number;
        host_run(
            "ip",
            &["address", "add", &format!("10.98.{n}.1/24"), "dev", &veth],
        );
        host_run(
            "ip",
            &[
                "address",
                "add",
                &format!("fd98:{n}::1/64"),
                "dev",
                &veth,
                "nodad",
            ],
        );
        host_ok("ip", &["link", "set", &veth, "up"]);
    }

    fn come_up(&self) {
        let n = self.number;
        wait("the machine to be up", seconds(60), || {
            if !self.systemd {
                return self.get("/run/up").map(drop);
            }
            let state = self.run(&["systemctl", "is-system-running", "--wait"]).stdout;
            ["running", "degraded"].contains(&state.trim()).then_some(())
        });
        self.sh(&format!(
            "ip link set host0 up; ip address add 10.98.{n}.2/24 dev host0; \
             ip address add fd98:{n}::2/64 dev host0 nodad"
        ));
    }

    /// Shuts it down in order and boots it again.
    pub fn reboot(&mut self) {
        self.power_off();
        self.power_on();
    }

    /// Shuts it down in order; without systemd nobody knows how to.
    pub fn power_off(&mut self) {
        if !self.systemd {
            return self.power_loss();
        }
        self.run(&["systemctl", "poweroff"]);
        self.gone();
    }

    /// Ends every process in it at once, as if the plug had been pulled. [`Self::power_on`] brings it back.
    pub fn power_loss(&mut self) {
        host_run("kill", &["-9", &self.leader.to_string()]);
        self.gone();
    }

    /// Plugs its cable in, or out.
    pub fn link(&self, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        host_ok("ip", &["link", "set", &self.veth(), state]);
        if plugged {
            // The kernel forgets the address of the sixth version with the link.
            let address = format!("fd98:{}::1/64", self.number);
            host_run("ip", &["address", "add", &address, "dev", &self.veth(), "nodad"]);
        }
    }

    /// A program inside that is not started yet, with a clean environment.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = host("nsenter");
        command
            .args(["-t", &self.leader.to_string(), "-a", "--", "env", "-i"])
            .args(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
            .args(["HOME=/root", "LANG=C.UTF-8", "TERM=xterm-256color"])
            .args(argv);
        command
    }

    /// A program among its files that is no process of its own, as those of the machine around it.
    pub fn around(&self, argv: &[&str]) -> Command {
        let mut command = host("nsenter");
        command
            .args(["-t", &self.leader.to_string(), "-m", "--"])
            .args(argv);
        command
    }

    /// Runs a program inside, as root, beside any login.
    pub fn run(&self, argv: &[&str]) -> Ran {
        self.command(argv).output().expect("nsenter starts").into()
    }

    /// Runs a program inside that must succeed; returns what it printed.
    pub fn ok(&self, argv: &[&str]) -> String {
        let ran = self.run(argv);
        assert!(
            ran.ok(),
            "{argv:?}: {:?}\n{}{}",
            ran.status,
            ran.stdout,
            ran.stderr
        );
        ran.stdout
    }

    /// Runs a shell script inside that must succeed; returns what it printed.
    pub fn sh(&self, script: &str) -> String {
        self.ok(&["sh", "-c", script])
    }

    /// Feeds a program inside, which must succeed; returns what it printed.
    pub fn feed(&self, argv: &[&str], input: &str) -> String {
        let mut child = self
            .command(argv)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsenter starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        pipe.write_all(input.as_bytes()).expect("it reads its input");
        drop(pipe);
        let ran: Ran = child.wait_with_output().expect("it ends").into();
        assert!(
            ran.ok(),
            "{argv:?}: {:?}\n{}{}",
            ran.status,
            ran.stdout,
            ran.stderr
        );
        ran.stdout
    }

    /// Writes a file of the machine, and the directories above it.
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) {
        let target = self.inside(path);
        fs::create_dir_all(target.parent().expect("a directory")).expect("directories");
        fs::write(&target, content).unwrap_or_else(|e| panic!("{path}: {e}"));
        fs::set_permissions(&target, fs::Permissions::from_mode(mode)).expect("mode");
    }

    /// Copies a file of this host into the machine.
    pub fn put_file(&self, from: &Path, path: &str, mode: u32) {
        self.put(
            path,
            fs::read(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())),
            mode,
        );
    }

    /// Puts the program under test at /usr/local/bin/faspwall.
    pub fn install(&self) {
        self.put_file(
            Path::new(env!("CARGO_BIN_EXE_faspwall")),
            "/usr/local/bin/faspwall",
            0o755,
        );
        let ran = self.run(&["faspwall", "--version"]);
        assert!(
            !ran.stderr.contains("GLIBC"),
            "the program was built for a newer C library than this machine has: {}",
            ran.stderr
        );
    }

    /// A file of the machine; `None` when it is not there.
    pub fn get(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.inside(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A terminal of 80x24 in which somebody logs in with `ssh -tt` on that port and runs the command.
    pub fn terminal(&self, port: u16, command: &str) -> Terminal {
        Terminal::start(
            80,
            24,
            &self.ssh_words(port, super::Family::V4, &["-tt"], command),
        )
    }

    /// A terminal in which somebody has come by mosh: a login on that port starts its server and ends, UDP carries on.
    pub fn mosh(&self, port: u16) -> Terminal {
        let started = self.ssh(port, super::Family::V4, "LC_ALL=C.UTF-8 mosh-server new -s");
        let mut words = started
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("MOSH CONNECT "))
            .unwrap_or_else(|| panic!("mosh-server told no port and key: {started:?}"))
            .split(' ');
        let mut next = || words.next().expect("a port and a key").to_owned();
        let (udp, key) = (next(), format!("MOSH_KEY={}", next()));
        let root = self.root().to_str().expect("UTF-8").to_owned();
        let address = self.address(super::Family::V4);
        let start = ["env", &key, "LC_ALL=C.UTF-8", "TERM=xterm", "chroot", &root];
        let words = start.into_iter().chain(["mosh-client", &address, &udp]);
        Terminal::start(80, 24, &words.map(str::to_owned).collect::<Vec<_>>())
    }

    /// Paths under /run, /tmp and the like are not on the disk: they are reached through process 1.
    pub fn inside(&self, path: &str) -> PathBuf {
        let path = path.trim_start_matches('/');
        if self.nspawn.is_some() {
            PathBuf::from(format!("/proc/{}/root/{path}", self.leader))
        } else {
            self.root().join(path)
        }
    }

    fn gone(&mut self) {
        if let Some(mut child) = self.nspawn.take() {
            let start = std::time::Instant::now();
            while child
                .try_wait()
                .expect("systemd-nspawn can be waited for")
                .is_none()
            {
                if start.elapsed() > seconds(30) {
                    child.kill().expect("systemd-nspawn can be ended");
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        host_run("ip", &["link", "delete", &self.veth()]);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let console = fs::read_to_string(self.dir.join("console.log")).unwrap_or_default();
            let tail: Vec<&str> = console.lines().rev().take(15).collect();
            eprintln!("last lines of the machine's console:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
            if self.nspawn.is_some() && self.systemd {
                let told = self.run(&["journalctl", "--no-pager", "-n", "60", "-o", "short-precise"]);
                eprintln!("last lines of its journal:\n{}", told.stdout);
            }
        }
        if self.nspawn.is_some() {
            self.power_loss();
        }
        clear(self.number, &self.dir);
    }
}

/// Takes away what a machine of that number left, also one whose test was killed.
fn clear(number: u8, dir: &Path) {
    if let Ok(pid) = fs::read_to_string(dir.join("pid")) {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if words
            .split('\0')
            .any(|word| word == format!("--machine=fw{number}"))
        {
            if let Some(leader) = pid.parse().ok().and_then(leader_of) {
                host_run("kill", &["-9", &leader.to_string()]);
            }
            wait("the end of a machine that was left behind", seconds(20), || {
                let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                (state.is_empty() || state.contains(") Z ")).then_some(())
            });
        }
    }
    host_run("umount", &["-l", text(&dir.join("root"))]);
    host_run("umount", &["-l", text(dir)]);
    host_run("ip", &["link", "delete", &veth(number)]);
    remove_groups(number);
    let _ = fs::remove_dir_all(dir);
}

/// The control groups of a machine.
fn groups(number: u8) -> impl Iterator<Item = PathBuf> {
    let there = CONTROL_GROUPS
        .iter()
        .map(Path::new)
        .filter(|root| root.join("cgroup.procs").exists());
    there.map(move |root| root.join(format!("faspwall-fw{number}")))
}

/// Takes away what a machine that is off has left of them.
fn remove_groups(number: u8) {
    for group in groups(number).filter(|group| group.exists()) {
        host_run(
            "find",
            &[text(&group), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"],
        );
    }
}

fn veth(number: u8) -> String {
    format!("ve-fw{number}")
}

/// Process 1 of the machine that this systemd-nspawn runs.
fn leader_of(nspawn: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    children
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .find(|pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
                status
                    .lines()
                    .any(|line| line.starts_with("NSpid:") && line.split_whitespace().last() == Some("1"))
            })
        })
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
