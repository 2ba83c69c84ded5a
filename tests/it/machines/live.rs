//! `capture` and `--machine` on real machines: what is seen of a host is seen again of its recording.

use super::record::{captured, prepared};
use super::scripts;
use crate::boxes::{Machine, Suite};

fn captured_machine(name: &str, suite: Suite) -> Machine {
    let script = scripts().into_iter().find(|s| s.name == name).expect("a script");
    let machine = prepared(&script, suite);
    captured(&machine, &script);
    machine
}

#[test]
fn a_recorded_host_answers_as_the_live_one() {
    let machine = captured_machine("ufw-deny", Suite::Bookworm);
    machine.put(
        "/run/answers.toml",
        "schema = 1\nrole = \"connect-server\"\n",
        0o644,
    );
    for words in [
        "detect",
        "detect --json",
        "roles",
        "status",
        "plan -f /run/answers.toml --diff",
    ] {
        // The login that recorded is another one than ours.
        let told = |more: &str| {
            let ran = machine.run(&[
                "sh",
                "-c",
                &format!("faspwall {more} {words} 2>&1; echo status $?"),
            ]);
            ran.stdout
                .lines()
                .filter(|line| !line.contains("session") && !line.starts_with("you are"))
                .map(|line| line.to_owned() + "\n")
                .collect::<String>()
        };
        assert_eq!(told("--machine /run/recorded"), told(""), "{words}");
    }
}
