//! nftables' part of a change.

use std::path::{Path, PathBuf};

use super::boot_file::{
    NFT_FILE, boot_file_change, knows_table, makes, reads_ours_in_a_block, statements, without_include,
};
use super::inspect::owner;
use super::model::{Chain, Ruleset};
use super::render::{self, Placed, TABLE};
use crate::backend::{Pieces, Translator, Wish};
use crate::facts::{BackendId, Facts};
use crate::step::{Action, Invocation, Step, Tool};

/// Native nftables.
#[derive(Debug)]
pub struct Nftables;

/// The accept lines of our text: without any deny.
fn accepts(text: &str) -> String {
    text.lines()
        .filter(|line| line.starts_with("insert rule ") || line.starts_with("add rule "))
        .fold(String::new(), |sum, line| sum + line + "\n")
}

fn has_deny(text: &str) -> bool {
    accepts(text) != text
}

fn nft(text: &str) -> Invocation {
    Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(text)
}

fn nft_check(text: &str) -> Step {
    Step::Run(Invocation::new(Tool::Nft, ["-c", "-f", "-"]).with_stdin(text))
}

/// Deletes rules by their mark, our sets in tables of others, and our table of kept rules; then runs `then`.
fn sweep(tag: &str, with_table: bool, then: &str) -> Step {
    Step::SweepNft {
        tag: tag.to_owned(),
        sets: vec![String::from("faspwall_tcp"), String::from("faspwall_udp")],
        tables: if with_table {
            vec![format!("inet {TABLE}")]
        } else {
            Vec::new()
        },
        then: then.to_owned(),
    }
}

/// Accepts for the chains that are nobody else's: a front-end would lose them, or choke on them.
fn native(theirs: &Ruleset, placed: Vec<Placed>) -> Vec<Placed> {
    let ours = |rule: &Placed| {
        let (family, table) = rule.table.split_once(' ').unwrap_or_default();
        owner(theirs, family, table).is_none()
    };
    placed.into_iter().filter(ours).collect()
}

fn placed(wish: &Wish<'_>) -> Vec<Placed> {
    let mut placed = native(wish.theirs, render::place(wish.theirs, wish.requirements));
    for rule in placed.iter_mut().filter(|rule| rule.below > 0) {
        // At boot the same text meets what the file makes: only what stands there as well is counted.
        if !stands_at_boot(wish, rule) {
            rule.below = 0;
        }
    }
    placed
}

/// Whether the bans above a rule come from the file that is loaded at boot.
fn stands_at_boot(wish: &Wish<'_>, placed: &Placed) -> bool {
    let boot = wish.facts.boot_of(BackendId::Nftables);
    let of = |chain: &&Chain| format!("{} {} {}", chain.family, chain.table, chain.name) == placed.chain;
    let (Some(content), Some(chain)) = (boot.text(), wish.theirs.chains.iter().find(of)) else {
        return false;
    };
    let names = (chain.family.as_str(), chain.table.as_str(), chain.name.as_str());
    let content = without_include(content);
    let Some(statements) = statements(&content, names) else {
        return false;
    };
    let mut rules = wish.theirs.rules_of(chain).take(placed.below).enumerate();
    rules.all(|(number, rule)| {
        statements.get(number).is_some_and(|words| {
            rule.telling_words()
                .iter()
                .all(|telling| words.iter().any(|word| word.contains(telling.as_str())))
        })
    })
}

/// Chains that were made by hand: our rules for them could not be loaded at boot.
fn unknown_at_boot(placed: &[Placed], file: &str, content: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rule in placed {
        let mut names = rule.chain.split(' ');
        let (Some(family), Some(table), Some(chain)) = (names.next(), names.next(), names.next()) else {
            continue;
        };
        if makes(content, (family, table, chain)) != Some(false) {
            continue;
        }
        let (what, away) = if knows_table(content, family, table) {
            let chain = format!("chain {family} {table} {chain}");
            (chain.clone(), format!("nft flush {chain}; nft delete {chain}"))
        } else {
            let table = format!("table {family} {table}");
            (table.clone(), format!("nft delete {table}"))
        };
        found.push(format!(
            "FW009: {what} is in force and drops what is to be opened, but {file} does not make it: at the next boot it \
             is gone, and rules for it cannot be kept. If it is to stay, add it there: nft -s list {what} >> {file}. If \
             it is a leftover, take it away: {away}"
        ));
    }
    found.dedup();
    found
}

fn with_pin(wish: &Wish<'_>) -> Vec<Placed> {
    let mut placed = placed(wish);
    if let Some(session) = &wish.facts.session {
        placed.extend(render::pin(&placed, session));
    }
    placed
}

impl Translator for Nftables {
    fn id(&self) -> BackendId {
        BackendId::Nftables
    }

    fn kept(&self, facts: &Facts, _live: &Ruleset, _committed: &str) -> String {
        let file = facts.observations.files.get(Path::new(NFT_FILE));
        file.cloned().unwrap_or_default()
    }

    fn keeps(&self, wish: &Wish<'_>) -> Result<String, Vec<String>> {
        let placed = placed(wish);
        let text = render::permanent(&placed, wish.spared, wish.closing, wish.gates, &wish.tag);
        let boot = wish.facts.boot_of(BackendId::Nftables);
        let mut obstacles = Vec::new();
        if !placed.is_empty() && boot.file.is_none() {
            obstacles.push(String::from(
                "nothing was found that loads this ruleset at boot (no /etc/nftables.conf): after a reboot the new port would be shut. Save the ruleset there first: nft list ruleset > /etc/nftables.conf",
            ));
        }
        if let (Some(file), None, false) = (&boot.file, &boot.content, text.is_empty()) {
            obstacles.push(format!(
                "{} could not be read, so nothing can be added to it: after a reboot the new rules would be gone",
                file.display()
            ));
        }
        if let (Some(file), Some(content)) = (&boot.file, boot.text()) {
            let file = file.display().to_string();
            obstacles.extend(unknown_at_boot(&placed, &file, content));
            let own = boot.content.as_deref().unwrap_or(content);
            if let (Some(line), false) = (reads_ours_in_a_block(own), text.is_empty()) {
                obstacles.push(format!(
                    "{file} has the line {line} inside of a table, where the rules that faspwall keeps in {NFT_FILE} would be \
                     an error: nothing at all would be loaded at the next boot. Name the files of that table in the line, \
                     so that it does not read {NFT_FILE}, or move the line out of the table"
                ));
            }
        }
        if obstacles.is_empty() {
            Ok(text)
        } else {
            Err(obstacles)
        }
    }

    fn pieces(&self, wish: &Wish<'_>, wanted: &str) -> Pieces {
        let placed = with_pin(wish);
        let mut pieces = Pieces {
            check: checks(wish, wanted, &placed),
            clocks: render::timed_sets(&placed),
            restore: vec![sweep("faspwall", true, wish.kept)],
            keep: keep(wish, wanted),
            files: files(wish, wanted),
            ..Pieces::default()
        };
        if !placed.is_empty() {
            pieces.open.push(open(wish, &placed));
        }
        if has_deny(wish.kept) {
            pieces.lift.push(Action::new(
                "lift the deny that faspwall had set",
                Step::Run(nft(&render::without_tables(&[TABLE]))),
                vec![sweep("faspwall", true, wish.kept)],
            ));
        }
        if let Some(helper) = wish.helper_port.and_then(render::helper) {
            let rules = native(wish.theirs, render::place(wish.theirs, &[helper]));
            let text = render::bridge_accepts(&rules, &wish.tag);
            if !text.is_empty() {
                pieces.bridge.push(Action::new(
                    "let in who is turned to the helper",
                    Step::Run(nft(&text)),
                    vec![sweep(&format!("{}:trial:bridge", wish.tag), false, "")],
                ));
            }
        }
        let both = format!("{}{}", accepts(wish.kept), accepts(wanted));
        pieces.settle.push(Action::new(
            "put the permanent rules in place and take the trial's away, in one transaction",
            sweep("faspwall", true, wanted),
            vec![sweep("faspwall", true, &both)],
        ));
        if has_deny(wanted) {
            pieces.seal.push(Action::new(
                format!("write {NFT_FILE} for the next boot, with the deny"),
                Step::put(Path::new(NFT_FILE), Some(wanted), 0o644),
                vec![Step::put(Path::new(NFT_FILE), Some(&accepts(wanted)), 0o644)],
            ));
        }
        pieces
    }
}

fn open(wish: &Wish<'_>, placed: &[Placed]) -> Action {
    let mut opens: Vec<&str> = placed
        .iter()
        .filter(|p| p.need != "pin")
        .map(|p| p.chain.as_str())
        .collect();
    opens.dedup();
    Action::new(
        format!(
            "open the new ports for {} s at the top of {}",
            wish.window_s,
            opens.join(", ")
        ),
        Step::Run(nft(&render::trial_1(placed, &wish.tag, wish.window_s))),
        vec![sweep(&format!("{}:trial", wish.tag), false, "")],
    )
}

fn checks(wish: &Wish<'_>, wanted: &str, placed: &[Placed]) -> Vec<Action> {
    let mut checks = Vec::new();
    if !placed.is_empty() {
        checks.push(Action::new(
            "nft accepts the trial's rules",
            nft_check(&render::trial_1(placed, &wish.tag, wish.window_s)),
            vec![],
        ));
    }
    let boot = wish.facts.boot_of(BackendId::Nftables);
    if let (Some(file), Some(content), false) = (&boot.file, &boot.content, wanted.is_empty()) {
        checks.push(Action::new(
            format!(
                "nft accepts {} with the new rules, as it will be at boot",
                file.display()
            ),
            // The kernel is empty at boot: what is loaded now must not be in the way of what the file makes.
            nft_check(&format!("flush ruleset\n{}\n{wanted}", without_include(content))),
            vec![],
        ));
    }
    checks
}

fn files(wish: &Wish<'_>, wanted: &str) -> Vec<(PathBuf, Option<String>, Option<String>)> {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut files = Vec::new();
    if wish.kept != wanted {
        files.push((PathBuf::from(NFT_FILE), text(wish.kept), text(wanted)));
    }
    if let Some((path, before, after)) =
        boot_file_change(wish.facts.boot_of(BackendId::Nftables), wanted.is_empty())
    {
        files.push((path, Some(before), Some(after)));
    }
    files
}

/// What a change leaves for the next boot: the file with our accepts, and the line that reads it.
fn keep(wish: &Wish<'_>, wanted: &str) -> Vec<Action> {
    let mut actions = Vec::new();
    let path = Path::new(NFT_FILE);
    let back = if wish.kept.is_empty() {
        Step::Remove(path.to_owned())
    } else {
        Step::put(path, Some(wish.kept), 0o644)
    };
    if !wanted.is_empty() {
        actions.push(Action::new(
            format!("write {NFT_FILE} for the next boot"),
            Step::put(path, Some(&accepts(wanted)), 0o644),
            vec![back],
        ));
    } else if !wish.kept.is_empty() {
        actions.push(Action::new(
            format!("remove {NFT_FILE}"),
            Step::Remove(path.to_owned()),
            vec![back],
        ));
    }
    if let Some((path, before, after)) =
        boot_file_change(wish.facts.boot_of(BackendId::Nftables), wanted.is_empty())
    {
        let verb = if wanted.is_empty() {
            "no longer reads"
        } else {
            "reads"
        };
        actions.push(Action::new(
            format!("{} {verb} it", path.display()),
            Step::put(&path, Some(&after), 0o644),
            vec![Step::put(&path, Some(&before), 0o644)],
        ));
    }
    if let (Some(file), false) = (&wish.facts.boot_of(BackendId::Nftables).file, wanted.is_empty()) {
        // An include line of the operator's may stand above the table that our rules go into.
        actions.push(Action::new(
            format!("nft accepts {} as it stands now", file.display()),
            nft_check(&format!("flush ruleset\ninclude \"{}\"\n", file.display())),
            vec![],
        ));
    }
    actions
}
