//! Detection on real machines. What the library says is asked inside of them, by this very test program.

mod firewalls;
mod logins;
mod product;

mod session;
mod shapes;
mod sshd;

use std::fs;
use std::time::Duration;

use faspwall::engine::detect::{detect, logins_on, session as own_session, tcp_listeners};
use faspwall::facts::{Facts, Session};
use faspwall::system::real::RealSystem;

use crate::boxes::{Family, Machine, Suite, Terminal, seconds, wait};

/// What the test program does when it is started inside of a machine, and where it writes the answer.
const ASK: &str = "FASPWALL_TEST_ASK";
const ANSWER: &str = "FASPWALL_TEST_ANSWER";

/// Not a test by itself: answers inside of a machine. Without a question it has nothing to do.
#[test]
fn inside() {
    let (Ok(question), Ok(answer)) = (std::env::var(ASK), std::env::var(ANSWER)) else {
        return;
    };
    let words: Vec<&str> = question.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().expect("a number");
    let port = |at: usize| words[at].parse::<u16>().expect("a port");
    let system = RealSystem;
    let text = match words[0] {
        "session" => serde_json::to_string(&own_session(&system)).expect("JSON"),
        "slow-facts" => serde_json::to_string(&detect(&system, &mut |_| {})).expect("JSON"),
        "facts" => {
            let start = std::time::Instant::now();
            let mut reports = 0;
            let facts = detect(&system, &mut |_| reports += 1);
            assert!(reports >= 6, "{reports} reports");
            let limit = Duration::from_millis(1500);
            assert!(start.elapsed() < limit, "took {:?}", start.elapsed());
            serde_json::to_string(&facts).expect("JSON")
        }
        "logins" => logins_on(&system, port(1), number(2))
            .iter()
            .map(|l| format!("{} {} {}\n", l.user, l.client, l.server))
            .collect(),
        "listeners" => tcp_listeners(&system, port(1))
            .iter()
            .map(|(_, comm)| format!("{comm}\n"))
            .collect(),
        other => panic!("no question {other}"),
    };
    // In one go: whoever waits for the file must not see half of it.
    let half = format!("{answer}.half");
    fs::write(&half, text).expect("the answer is written");
    fs::rename(&half, &answer).expect("the answer is in place");
}

/// A machine with the test program in it: `ask WHERE QUESTION...` writes the answer to the file WHERE. Everybody may.
fn machine(suite: Suite) -> Machine {
    let machine = Machine::boot(suite);
    let own = std::env::current_exe().expect("this program");
    machine.put_file(&own, "/usr/local/bin/it", 0o755);
    let script = format!(
        "#!/bin/sh\nout=$1; shift\n{ANSWER}=$out {ASK}=\"$*\" exec /usr/local/bin/it --exact detect::inside >/dev/null\n"
    );
    machine.put("/usr/local/bin/ask", script, 0o755);
    machine
}

/// Takes the answer that some login inside has asked for.
fn answer(machine: &Machine, file: &str) -> String {
    let text = wait(&format!("the answer in {file}"), seconds(15), || {
        machine.get(file)
    });
    machine.ok(&["rm", file]);
    text
}

fn session_in(machine: &Machine, file: &str) -> Session {
    let text = answer(machine, file);
    serde_json::from_str::<Option<Session>>(&text)
        .expect("JSON")
        .expect("a session")
}

/// Asks inside, beside any login.
fn ask(machine: &Machine, question: &str) -> String {
    machine.ok(&["ask", "/run/answer", question]);
    answer(machine, "/run/answer")
}

fn facts(machine: &Machine) -> Facts {
    serde_json::from_str(&ask(machine, "facts")).expect("JSON")
}

/// A second sshd in the machine, as a daemon without a unit.
fn second_sshd(machine: &Machine, port: u16, more: &[&str]) {
    let (port, pid_file) = (port.to_string(), format!("PidFile=/run/second-{port}.pid"));
    let mut words = vec!["/usr/sbin/sshd", "-p", &port, "-o", &pid_file];
    words.extend(more);
    machine.ok(&words);
}

/// The public key that may log in as root may also log in as joe, who may become root.
fn add_joe(machine: &Machine) {
    machine.sh(
        "useradd -m -s /bin/bash joe && cp -r /root/.ssh /home/joe/ && chown -R joe: /home/joe/.ssh && \
         echo joe:secret | chpasswd && echo 'joe ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/joe",
    );
}

/// Somebody who is about to type a password.
fn password_prompt(machine: &Machine, port: u16, user: &str) -> Terminal {
    let options = [
        "-tt",
        "-l",
        user,
        "-o",
        "PubkeyAuthentication=no",
        "-o",
        "PreferredAuthentications=password",
    ];
    let words = machine.ssh_words(port, Family::V4, &options, "sleep 1000");
    // The first mention of an option counts: the harness asks for no questions.
    let words: Vec<String> = words
        .into_iter()
        .map(|w| w.replace("BatchMode=yes", "BatchMode=no"))
        .collect();
    Terminal::start(80, 24, &words)
}
