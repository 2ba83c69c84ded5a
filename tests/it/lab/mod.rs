//! The lab, started for real: as root, as a plain user, and where it cannot be had.

mod line_mode;
pub mod wizard;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::boxes::{Ran, Terminal, seconds, wait};

const PROGRAM: &str = env!("CARGO_BIN_EXE_faspwall");

/// Who starts the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Root,
    /// The user nobody, with a range of ids that only this test's processes see.
    Plain,
}

/// A copy of the program that everybody may run, and the words that run it as that user.
struct Start {
    dir: tempfile::TempDir,
    who: Who,
}

impl Start {
    fn new(who: Who) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: sudo bash tests/run"
        );
        let dir = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a directory");
        fs::copy(PROGRAM, dir.path().join("faspwall")).expect("a copy");
        fs::write(dir.path().join("ids"), "nobody:100000:65536\n").expect("ids");
        Self { dir, who }
    }

    fn words(&self, args: &[&str]) -> Vec<String> {
        let program = self.dir.path().join("faspwall");
        let mut words: Vec<String> = Vec::new();
        if self.who == Who::Plain {
            let ids = self.dir.path().join("ids");
            let script = format!(
                "mount --bind {0} /etc/subuid && mount --bind {0} /etc/subgid && exec setpriv --reuid=65534 \
                 --regid=65534 --clear-groups \"$@\"",
                ids.display()
            );
            words.extend(["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned));
        }
        words.push(program.to_str().expect("UTF-8").to_owned());
        words.extend(args.iter().map(|&arg| arg.to_owned()));
        words
    }

    fn terminal(&self, args: &[&str]) -> Terminal {
        Terminal::start(80, 24, &self.words(args))
    }

    fn run(&self, args: &[&str]) -> Ran {
        let words = self.words(args);
        let (program, args) = words.split_first().expect("words");
        Command::new(program)
            .args(args)
            .output()
            .expect("it starts")
            .into()
    }

    /// Process numbers of all stages of a lab that was started from this copy.
    fn stages(&self) -> Vec<u32> {
        let program = self.dir.path().join("faspwall");
        fs::read_dir("/proc")
            .expect("/proc")
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid: &u32| {
                fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|words| {
                    let name = program.to_str().expect("UTF-8");
                    words.split('\0').next() == Some(name)
                        || (words.contains("\0lab-inside\0") && words.contains(name))
                })
            })
            .collect()
    }
}

/// What must be the same on this host before and after a lab: a line of its digest for each.
fn outside() -> Vec<String> {
    [
        "ip netns list",
        "nft list ruleset",
        "ip -o address show dev eth0",
        "awk '$5 ~ \"^/(run|tmp|var/[a-z]+|root|opt|etc|dev/ptmx|dev/pts|sys)?$\"' /proc/self/mountinfo",
        "cat /etc/passwd /etc/shadow /etc/hosts /etc/nftables.conf",
        "ls -la --time-style=full-iso /etc/ssh /etc/nftables.conf /run/sshd.pid /run/netns",
        "ls -a /root /opt /var/lib; ls -d /run/faspwall-lab /usr/x /x",
    ]
    .iter()
    .map(|script| {
        let script = format!("({script}) 2>&1 | sha256sum");
        let output = Command::new("sh").args(["-c", &script]).output().expect("sh");
        format!("{script}: {}", String::from_utf8_lossy(&output.stdout))
    })
    .collect()
}

/// Waits for the shell on the lab's server.
fn prompt(terminal: &Terminal) {
    terminal.wait_until("a prompt", seconds(20), |screen| {
        screen.trim_end().ends_with("\n#")
    });
}

fn a_whole_visit(who: Who) {
    let before = outside();
    let start = Start::new(who);
    let terminal = start.terminal(&["lab", "--", "sh"]);
    prompt(&terminal);
    terminal.text("echo lab=$FASPWALL_LAB from=${SSH_CONNECTION%% *} door=${SSH_CONNECTION##* }; id -u; tty");
    terminal.keys(&["Enter"]);
    terminal.wait_for("lab=1 from=10.88.0.1 door=22", seconds(5));
    terminal
        .text("clear; nft list ruleset | grep -c -e 'policy drop' -e 'timeout 1d'; touch /usr/x /home/x /x");
    terminal.keys(&["Enter"]);
    let screen = terminal.wait_for("'/x': Read-only", seconds(5));
    assert!(
        screen.contains("'/usr/x': Read-only") && screen.starts_with('3'),
        "{screen}"
    );
    assert!(!Path::new("/usr/x").exists());

    // The other person's terminal: a login on port 22 works, 33001 is filtered.
    let peer = start.run(&[
        "lab",
        "enter",
        "--",
        "ssh",
        "root@server",
        "faspwall",
        "--version",
    ]);
    assert!(peer.ok(), "{peer:?}");
    let shut = start.run(&[
        "lab",
        "enter",
        "--",
        "ssh",
        "-oConnectTimeout=1",
        "-p33001",
        "root@fd88::2",
        "true",
    ]);
    assert!(shut.stderr.contains("timed out"), "{shut:?}");

    // A move by hand: the new door opens, then the old one shuts; the first login stays.
    terminal.text(
        "clear; echo Port 33001 >/etc/ssh/sshd_config.d/port.conf; nft insert rule inet filter input tcp dport \
         33001 accept; kill -HUP $(cat /run/sshd.pid)",
    );
    terminal.keys(&["Enter"]);
    wait("a login on the new port", seconds(5), || {
        let door = start.run(&["lab", "enter", "--", "ssh", "-p33001", "root@fd88::2", "true"]);
        door.ok().then_some(())
    });
    terminal.text("exit 3");
    terminal.keys(&["Enter"]);
    assert_eq!(terminal.end(seconds(20)), 3);
    let screen = terminal.screen();
    assert!(
        screen.contains("TCP/33001   open: a new SSH login works"),
        "{screen}"
    );
    assert!(screen.contains("TCP/22      closed"), "{screen}");
    assert!(start.stages().is_empty(), "{:?}", start.stages());
    assert_eq!(outside(), before);
}

#[test]
fn root_visits_the_lab_and_nothing_outside_changes() {
    a_whole_visit(Who::Root);
}

#[test]
fn a_plain_user_visits_the_lab_and_nothing_outside_changes() {
    a_whole_visit(Who::Plain);
}

#[test]
fn nothing_is_left_when_it_is_killed_or_the_terminal_goes_away() {
    for who in [Who::Root, Who::Plain] {
        let before = outside();
        let start = Start::new(who);
        let terminal = start.terminal(&["lab", "--", "sh"]);
        prompt(&terminal);
        let first = *start.stages().iter().min().expect("a stage");
        Command::new("kill")
            .args(["-9", &first.to_string()])
            .output()
            .expect("kill");
        wait("the end of a killed lab", seconds(5), || {
            start.stages().is_empty().then_some(())
        });
        drop(terminal);

        let terminal = start.terminal(&["lab", "--", "sh"]);
        prompt(&terminal);
        drop(terminal);
        wait("the end of a lab without a terminal", seconds(5), || {
            start.stages().is_empty().then_some(())
        });
        assert_eq!(outside(), before);
    }
}

#[test]
fn what_is_missing_is_named_all_at_once() {
    let hidden = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            "mount -t tmpfs none /usr/sbin && exec \"$0\" lab",
            PROGRAM,
        ])
        .output()
        .expect("unshare");
    let ran: Ran = hidden.into();
    assert_eq!(ran.status, Some(5), "{ran:?}");
    for words in [
        "nft ",
        "sshd ",
        "apt-get install",
        "nftables",
        "openssh-server",
        "Nothing was changed",
    ] {
        assert!(ran.stderr.contains(words), "{words:?} in {}", ran.stderr);
    }
}

#[test]
fn the_setting_that_forbids_namespaces_is_named() {
    for (who, setting) in [
        ("0", "user.max_net_namespaces"),
        ("65534", "user.max_user_namespaces"),
    ] {
        let start = Start::new(Who::Root);
        let ids = start.dir.path().join("ids");
        fs::write(&ids, "root:0:65536\n").expect("ids");
        let script = format!(
            "echo 0 >/proc/sys/{} && exec setpriv --reuid={who} --regid={who} --clear-groups {}/faspwall lab",
            setting.replace('.', "/"),
            start.dir.path().display()
        );
        // Such a setting counts for one user namespace: here for one that only this test has.
        let around = format!(
            "mount --bind {0} /etc/subuid && mount --bind {0} /etc/subgid && exec unshare --user \
             --map-users=0,0,65536 --map-groups=0,0,65536 --setuid=0 --setgid=0 --mount sh -c '{script}'",
            ids.display()
        );
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", &around])
            .output()
            .expect("unshare");
        let ran: Ran = output.into();
        assert_eq!(ran.status, Some(4), "{ran:?}");
        assert!(ran.stderr.contains(&format!("{setting} is 0")), "{}", ran.stderr);
        assert!(
            ran.stderr.contains(&format!("sysctl {setting}=")),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_user_without_ids_is_told_the_command() {
    let start = Start::new(Who::Plain);
    fs::write(start.dir.path().join("ids"), "somebody:100000:65536\n").expect("ids");
    let ran = start.run(&["lab"]);
    assert_eq!(ran.status, Some(4), "{ran:?}");
    assert!(
        ran.stderr.contains("/etc/subuid gives the user nobody no range"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("usermod --add-subuids"), "{}", ran.stderr);
}

#[test]
fn inner_stages_do_nothing_outside_of_the_lab() {
    for stage in ["init", "host", "other"] {
        let before = outside();
        let output = Command::new(PROGRAM)
            .args(["lab-inside", stage, "sh"])
            .output()
            .expect("it starts");
        let ran: Ran = output.into();
        assert_eq!(ran.status, Some(2), "{ran:?}");
        assert_eq!(outside(), before);
    }
}

#[test]
fn the_scenario_is_listed_and_a_wrong_one_is_refused() {
    let list: Ran = Command::new(PROGRAM)
        .args(["lab", "--list"])
        .output()
        .expect("it starts")
        .into();
    assert!(list.ok() && list.stdout.starts_with("move-ssh "), "{list:?}");
    let wrong: Ran = Command::new(PROGRAM)
        .args(["lab", "nonsense"])
        .output()
        .expect("it starts")
        .into();
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("--list"), "{wrong:?}");
}
