//! At the machine itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use super::super::{Family, Machine, Suite, apply, assert_open, code, confirm, server, status};
use super::in_window;
use crate::boxes::{Console, Seat, seconds};
use crate::lab::wizard::{fill, to_the_trial};

/// The first-time installer: nobody is logged in over the network, the console is 80x25, TERM=linux.
#[test]
fn a_person_at_the_console_of_the_server_moves_ssh_by_the_word_keep() {
    let machine = server(Suite::Bookworm);
    let console = Console::start(&machine, "faspwall");
    let pages = to_the_trial(&console);
    assert!(pages.contains("at the console"), "{pages}");
    assert_open(&machine, &[22, 33001]);
    fill(&console, "keep");
    console.wait_for("TRIAL 2", seconds(10));
    assert_open(&machine, &[33001]);
    fill(&console, "keep");
    let screen = console.wait_for("KEPT", seconds(20));
    console.keys(&["Enter"]);
    assert_eq!(console.end(seconds(10)), 0, "{screen}");
    assert_open(&machine, &[33001]);
    assert!(machine.ssh(33001, Family::V6, "true").ok());
}

/// What a command says that is typed at the console.
fn at(console: &Console<'_>, machine: &Machine, command: &str) -> String {
    in_window(machine, command, |line| {
        console.text(line);
        console.keys(&["Enter"]);
    })
}

/// Without the wizard: a getty lets root in, and root goes on as whoever it may be.
#[test]
fn a_login_at_the_console_keeps_by_the_word_and_by_no_code_also_behind_sudo_and_su() {
    let machine = server(Suite::Trixie);
    let console = Console::login(&machine);
    let told = at(&console, &machine, "faspwall detect");
    assert!(told.contains("runs on the console tty"), "{told}");
    let order = "faspwall apply -f /root/answers.toml --confirm-within 240s";
    let told = at(&console, &machine, order);
    assert!(told.ends_with("status 0\n"), "{told}");
    let with_code = format!("faspwall confirm {}", code(&status(&machine)["open"]));
    for (shell, trial) in [
        ("sudo -i", serde_json::json!(2)),
        ("su -", serde_json::Value::Null),
    ] {
        console.text(&format!("clear; {shell}"));
        console.keys(&["Enter"]);
        let told = at(&console, &machine, &with_code);
        assert!(
            told.contains("faspwall confirm keep") && told.ends_with("status 9\n"),
            "{shell}: {told}"
        );
        let told = at(&console, &machine, "faspwall confirm keep");
        assert!(told.ends_with("status 0\n"), "{shell}: {told}");
        assert_eq!(status(&machine)["open"]["trial"], trial, "{shell}");
    }
    assert_open(&machine, &[33001]);
    assert!(machine.ssh(33001, Family::V4, "true").ok());
}

/// Makes a terminal in the directory of them, tells its path, and passes on what is typed.
const LINE: &str = "import os, sys, threading, tty
master, slave = os.openpty()
print(os.ttyname(slave), flush=True)
def forget():
    while os.read(master, 4096): pass
threading.Thread(target=forget, daemon=True).start()
for line in sys.stdin: os.write(master, line.encode())
";

/// A terminal at whose other end a program is.
struct Line(Child, String);

impl Line {
    fn begin(mut command: Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = piped.spawn().expect("nsenter starts");
        let mut path = String::new();
        BufReader::new(program.stdout.as_mut().expect("a pipe"))
            .read_line(&mut path)
            .expect("a path");
        Self(program, path.trim().to_owned())
    }

    /// Has a command typed; returns what it says.
    fn says(&self, machine: &Machine, command: &str) -> String {
        let mut typed = self.0.stdin.as_ref().expect("a pipe");
        in_window(machine, command, |line| {
            writeln!(typed, "{line}").expect("it reads");
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A serial line that comes over the network, and a telnet server: whoever sits at its other end may need any port.
#[test]
fn a_getty_on_a_line_that_a_program_has_made_is_no_console_whatever_its_name() {
    let machine = server(Suite::Bookworm);
    let line = Line::begin(machine.command(&["python3", "-c", LINE]));
    machine.sh(&format!("ln -s {} /dev/ttyS7", line.1));
    machine.ok(&[
        "systemd-run",
        "-q",
        "--collect",
        "agetty",
        "--autologin",
        "root",
        "ttyS7",
        "115200",
        "vt100",
    ]);
    let trial = apply(&machine, 120);
    for word in ["keep", &code(&trial)] {
        let told = line.says(&machine, &format!("faspwall confirm {word}"));
        assert!(
            told.contains("is not known") && told.contains("ssh -p 33001") && told.ends_with("status 9\n"),
            "{word}: {told}"
        );
    }
    assert_eq!(status(&machine)["open"]["trial"], 1);
    assert!(confirm(&machine, 33001, &code(&trial)).ok());
}

/// `machinectl login` and `machinectl shell` at the machine around a container: its end of the terminal is not seen in here,
/// and needs no port.
#[test]
fn the_machine_around_a_container_is_its_console() {
    let machine = server(Suite::Trixie);
    machine.put(
        "/etc/systemd/system/container-getty@.service.d/in.conf",
        "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear - $TERM\n",
        0o644,
    );
    machine.ok(&["systemctl", "daemon-reload"]);
    let begin = || Line::begin(machine.around(&["python3", "-c", LINE]));
    let (login, shell) = (begin(), begin());
    let number = login.1.rsplit('/').next().expect("a number");
    machine.ok(&["systemctl", "start", &format!("container-getty@{number}")]);
    // The unit that the machine around asks systemd for, with the settings that it asks for.
    machine.sh(&format!(
        "systemd-run -q --unit=container-shell@7 -p StandardInput=tty-force -p StandardOutput=tty -p TTYPath={} \
         -p PAMName=login -p SendSIGHUP=yes -p KillMode=mixed -p UtmpIdentifier=7 -p UtmpMode=user bash",
        shell.1
    ));
    apply(&machine, 120);
    for (line, trial) in [(&login, serde_json::json!(2)), (&shell, serde_json::Value::Null)] {
        let told = line.says(&machine, "faspwall confirm keep");
        assert!(told.ends_with("status 0\n"), "{told}");
        assert_eq!(status(&machine)["open"]["trial"], trial, "{told}");
    }
    assert_open(&machine, &[33001]);
}
