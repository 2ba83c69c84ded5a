//! What is previewed is what is run: the same steps, in the same order, and no other.

use faspwall::change::Change;
use faspwall::transaction::{Entry, Phase};
use serde_json::Value;

use super::{Family, Suite, code, confirm, document, server};

/// Names of transactions differ from run to run.
fn without_id(text: &str) -> String {
    let mut plain = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(std::iter::once('\n')) {
        if c.is_ascii_digit() || (c == '-' && digits.len() == 8) {
            digits.push(c);
            continue;
        }
        plain.push_str(if digits.len() == 15 { "ID" } else { &digits });
        digits.clear();
        plain.push(c);
    }
    plain.trim_end().to_owned()
}

fn printed(change: &Change) -> Vec<String> {
    [Phase::Check, Phase::Trial1, Phase::Trial2, Phase::Commit]
        .iter()
        .flat_map(|phase| change.actions(*phase))
        .map(|action| without_id(&action.step.to_string()))
        .collect()
}

#[test]
fn what_is_previewed_is_what_is_run() {
    let machine = server(Suite::Bookworm);
    // One login for both: the plan pins the connection that it is made in.
    let both = "faspwall plan -f /root/answers.toml --json > /root/plan.json && faspwall apply -f /root/answers.toml --json";
    let trial = document(&machine.ssh(22, Family::V4, both));
    for _ in 0..2 {
        document(&confirm(&machine, 33001, &code(&trial)));
    }
    let plan: Value = serde_json::from_str(&machine.get("/root/plan.json").expect("a plan")).expect("JSON");
    let previewed: Vec<String> = plan["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| without_id(step["display"].as_str().expect("text")))
        .collect();

    let id = trial["transaction"].as_str().expect("an id");
    let journal = machine
        .get(&format!("/var/lib/faspwall/{id}/journal.jsonl"))
        .expect("a journal");
    let entries: Vec<Entry> = journal
        .lines()
        .map(|line| serde_json::from_str(line).expect("an entry"))
        .collect();
    let Some(Entry::Begin { change, .. }) = entries.first() else {
        panic!("{journal}")
    };
    assert_eq!(previewed, printed(change));

    let run: Vec<(Phase, usize)> = entries
        .iter()
        .filter_map(|e| {
            if let Entry::Done { phase, number } = e {
                Some((*phase, *number))
            } else {
                None
            }
        })
        .collect();
    let wanted: Vec<(Phase, usize)> = [Phase::Trial1, Phase::Trial2, Phase::Commit]
        .iter()
        .flat_map(|phase| (0..change.actions(*phase).len()).map(|number| (*phase, number)))
        .collect();
    assert_eq!(run, wanted);
}
