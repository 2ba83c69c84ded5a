//! The main job, as a person does it: the wizard in the lab, to a confirmed move.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Start, Who, outside};
use crate::boxes::{Family, Machine, Seat, Suite, Terminal, seconds, svg, wait};

/// Keeps a picture of the page when `FASPWALL_PICTURES` names a directory (`tests/picture` does).
fn photograph(terminal: &Terminal, name: &str, title: &str) {
    if let Some(dir) = std::env::var_os("FASPWALL_PICTURES") {
        let file = Path::new(&dir).join(format!("{name}.svg"));
        std::fs::write(&file, svg(&terminal.picture(), title)).expect("a picture");
    }
}

/// Presses Enter until the page behind it is there.
pub fn next(terminal: &impl Seat, page: &str) -> String {
    terminal.keys(&["Enter"]);
    terminal.wait_for(page, seconds(15))
}

/// The confirm code that the page shows.
pub fn code_on(screen: &str) -> String {
    let (_, rest) = screen
        .split_once("faspwall confirm ")
        .expect("a code on the page");
    rest.chars().take_while(char::is_ascii_digit).collect()
}

/// From the first page to the first trial. Returns what the pages of the firewall, the preview and the rehearsal said.
pub fn to_the_trial(terminal: &impl Seat) -> String {
    let pages = to_the_rehearsal(terminal);
    next(terminal, "Type y, then Enter");
    fill(terminal, "y");
    terminal.wait_for("TRIAL 1", seconds(15));
    pages
}

/// From the first page to the end of the rehearsal; returns the same.
pub fn to_the_rehearsal(terminal: &impl Seat) -> String {
    all_checks(terminal);
    next(terminal, "Which Aspera product runs here?");
    next(terminal, "Which TCP port does sshd use");
    next(terminal, "WARNING: TCP/22 WOULD STAY OPEN");
    next(terminal, "Who may reach them?");
    let mut pages = next(terminal, "Which firewall carries the rules?");
    pages += &next(terminal, "the plan can be rehearsed");
    pages += &rehearsed(terminal);
    pages
}

/// Waits on the first page for everything that is found out.
pub fn all_checks(terminal: &impl Seat) {
    terminal.wait_until("every check to answer", seconds(20), |screen| {
        screen.contains("7 checks") && !screen.contains("still running")
    });
}

/// So long may a rehearsal take.
pub const REHEARSAL: std::time::Duration = seconds(60);

/// From the preview to the end of the rehearsal.
pub fn rehearsed(terminal: &impl Seat) -> String {
    terminal.keys(&["Enter"]);
    terminal.wait_until("the end of the rehearsal", REHEARSAL, |screen| {
        ["safe to apply", "not rehearsed", "broke off"]
            .iter()
            .any(|word| screen.contains(word))
    });
    terminal.screen()
}

/// Presses the button of the Confirm page that makes the peer log in, and waits for what follows.
pub fn peer_confirms(terminal: &impl Seat, then: &str) {
    // Keys are thrown away while the page comes up: one Tab at a time, and a look.
    wait("the button to have the focus", seconds(10), || {
        let focused = || {
            terminal
                .screen()
                .contains(">[ LAB: peer logs in ]<")
                .then_some(())
        };
        terminal.keys(&["Tab"]);
        within_a_moment(focused)
    });
    next(terminal, then);
}

/// Looks for half a second: longer than a busy machine needs to draw what a key has changed.
pub fn within_a_moment(mut look: impl FnMut() -> Option<()>) -> Option<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(500) {
        if look().is_some() {
            return Some(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Types into the field that has the focus. What is typed while a dangerous question comes up is thrown away on
/// purpose, so a person looks, and types again.
pub fn fill(terminal: &impl Seat, text: &str) {
    wait("the text in its field", seconds(10), || {
        let typed = || terminal.screen().contains(&format!("[{text}")).then_some(());
        terminal.text(text);
        within_a_moment(typed).or_else(|| {
            terminal.keys(&["BSpace"; 8]);
            None
        })
    });
    terminal.keys(&["Enter"]);
}

#[test]
fn the_wizard_moves_the_lab_to_33001() {
    let before = outside();
    let start = Start::new(Who::Plain);
    let terminal = start.terminal(&["lab"]);
    to_the_trial(&terminal);
    assert!(terminal.screen().contains("*** LAB ***"), "{}", terminal.screen());
    let code = code_on(&terminal.screen());

    // Over the old door nothing is proved, and nothing happens.
    let old = start.run(&[
        "lab",
        "enter",
        "--",
        "ssh",
        "root@server",
        "faspwall",
        "confirm",
        &code,
    ]);
    assert_eq!(old.status, Some(9), "{old:?}");

    photograph(
        &terminal,
        "wizard",
        "The Confirm page: trial 1 is live, with the time left and what to type where",
    );
    // The first proof comes by the button, the second as a person gives it, from another terminal.
    peer_confirms(&terminal, "TRIAL 2");
    wait("22 to be shut for new logins", seconds(5), || {
        let old = start.run(&[
            "lab",
            "enter",
            "--",
            "ssh",
            "-oConnectTimeout=1",
            "root@server",
            "true",
        ]);
        (old.status == Some(255)).then_some(())
    });
    let kept = start.run(&[
        "lab",
        "enter",
        "--",
        "ssh",
        "-p33001",
        "root@server",
        "faspwall",
        "confirm",
        &code,
    ]);
    assert!(kept.ok() && kept.stdout.contains("KEPT"), "{kept:?}");
    let screen = terminal.wait_for("KEPT", seconds(15));
    assert!(screen.contains("*** LAB ***"), "{screen}");
    terminal.keys(&["Enter"]);
    assert_eq!(terminal.end(seconds(30)), 0);
    let screen = terminal.screen();
    for line in [
        "faspwall: kept.",
        "TCP/22      closed",
        "TCP/33001   open: a new SSH login works",
    ] {
        assert!(screen.contains(line), "{line} in {screen}");
    }
    assert_eq!(outside(), before);
}

/// Debian 13: other versions of sshd (in three programs), nft, ip and mount.
#[test]
fn the_lab_works_on_the_next_debian_too() {
    let machine = Machine::boot(Suite::Trixie);
    machine.install();
    let terminal = machine.terminal(22, "faspwall lab");
    to_the_trial(&terminal);
    peer_confirms(&terminal, "TRIAL 2");
    peer_confirms(&terminal, "KEPT");
    terminal.keys(&["Enter"]);
    assert_eq!(terminal.end(seconds(30)), 0);
    // The machine around the lab still has its own sshd on 22, and no rules.
    assert!(machine.ssh(22, Family::V4, "true").ok());
    assert_eq!(machine.ok(&["nft", "list", "ruleset"]), "");
}

#[test]
fn undo_in_the_lab_leaves_22_open() {
    let start = Start::new(Who::Root);
    let terminal = start.terminal(&["--ascii", "lab"]);
    to_the_trial(&terminal);
    assert!(terminal.screen().is_ascii(), "{}", terminal.screen());
    fill(&terminal, "undo");
    let screen = terminal.wait_for("UNDONE", seconds(20));
    assert!(screen.contains("equal"), "{screen}");
    terminal.keys(&["F10"]);
    terminal.end(seconds(30));
    let screen = terminal.screen();
    assert!(
        screen.contains("TCP/22      open: a new SSH login works"),
        "{screen}"
    );
    assert!(!screen.contains("TCP/33001"), "{screen}");
}
