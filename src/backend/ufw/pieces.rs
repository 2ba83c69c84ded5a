//! ufw's part of a change.

use std::path::PathBuf;

use super::decide::{Need, needs, rule};
use super::kept::{self, Entry};
use super::live::Live;
use super::rules_file::RulesFile;
use super::settings::Settings;
use super::tuple::{Verb, user_chain};
use super::{families, health, rules_file, rules_path, rules_text};
use crate::backend::iptables::Variant;
use crate::backend::{Pieces, Wish};
use crate::plan::Requirement;
use crate::step::{Action, Invocation, IptablesRule, Step, Tool, UNTIL};

/// Bits of a rules file that is new; ufw's own are for root alone.
const MODE: u32 = 0o640;

/// The program that takes rules of one family, of the variant in which ufw's chains are.
fn tool(variant: Variant, v6: bool) -> Tool {
    match (variant, v6) {
        (Variant::Nft, false) => Tool::IptablesNftRestore,
        (Variant::Nft, true) => Tool::Ip6tablesNftRestore,
        (Variant::Legacy, false) => Tool::IptablesLegacyRestore,
        (Variant::Legacy, true) => Tool::Ip6tablesLegacyRestore,
    }
}

/// One family: its file and its chains, on their way from what is to what shall be.
struct Family<'a> {
    wish: &'a Wish<'a>,
    v6: bool,
    tool: Tool,
    live: Live,
    now: RulesFile,
    /// What may stand while the one gives way to the other: open for both, shut for neither.
    between: RulesFile,
    after: RulesFile,
}

/// The whole part.
pub fn pieces(wish: &Wish<'_>, wanted: &str) -> Pieces {
    let mut pieces = Pieces::default();
    let Some(table) = health::table(wish.theirs) else {
        return pieces;
    };
    let kept = kept::parse(wish.kept);
    let wanted = kept::parse(wanted);
    for v6 in families(&Settings::of(wish.facts)) {
        let family = Family::new(wish, table, *v6, &kept, &wanted);
        family.add_to(&mut pieces);
    }
    pieces
}

impl<'a> Family<'a> {
    fn new(wish: &'a Wish<'a>, table: &str, v6: bool, kept: &[Entry], wanted: &[Entry]) -> Self {
        let now = rules_file(wish.facts, v6);
        let theirs = kept::theirs(&now, v6, kept);
        let between = kept::lenient(kept, wanted);
        Self {
            wish,
            v6,
            tool: tool(Variant::of(table).0, v6),
            live: Live::read(wish.theirs, table, v6),
            between: kept::applied(&theirs, v6, &between),
            after: kept::applied(&theirs, v6, wanted),
            now,
        }
    }

    fn path(&self) -> PathBuf {
        rules_path(self.v6)
    }

    fn word(&self) -> &'static str {
        if self.v6 { "IPv6" } else { "IPv4" }
    }

    fn write(&self, file: &RulesFile) -> Step {
        Step::Write {
            path: self.path(),
            content: file.text(),
            mode: MODE,
        }
    }

    fn patch(&self, sweep: &str, rules: Vec<IptablesRule>) -> Step {
        Step::PatchIptables {
            tool: self.tool,
            sweep: sweep.to_owned(),
            rules,
            seconds: self.wish.window_s,
        }
    }

    fn add_to(&self, pieces: &mut Pieces) {
        let trial = self.trial();
        let tag = &self.wish.tag;
        let changed = self.now.text() != self.after.text();
        if !trial.is_empty() {
            let mark = format!("{tag}:trial");
            let open = self.patch(&mark, trial.clone());
            pieces.timed.push(open.clone());
            pieces.open.push(Action::new(
                format!(
                    "open the new ports for {} s in ufw's chains ({})",
                    self.wish.window_s,
                    self.word()
                ),
                open,
                vec![self.patch(&mark, Vec::new())],
            ));
        }
        if changed {
            pieces.check.push(self.check());
            let text = |file: &RulesFile| Some(file.text());
            let now = rules_text(self.wish.facts, self.v6).cloned();
            pieces.files.push((self.path(), now, text(&self.after)));
        }
        pieces.bridge.extend(self.bridge());
        self.commit(pieces, !trial.is_empty());
    }

    /// The accepts of the trial, for what the live rules do not let through already.
    fn trial(&self) -> Vec<IptablesRule> {
        let mark = |need: &Need| format!("{}:trial:{}", self.wish.tag, need.id);
        let settings = Settings::of(self.wish.facts);
        let missing = |need: &Need| {
            let chain = user_chain(self.v6, need.traffic.outbound);
            !self
                .live
                .lets_through(chain, &need.traffic, settings.policy(&need.traffic))
        };
        self.needs(self.wish.requirements)
            .into_iter()
            .filter(missing)
            .map(|need| self.marked(&need, &mark(&need), &format!(" -m time --datestop {UNTIL}")))
            .collect()
    }

    fn needs(&self, requirements: &[Requirement]) -> Vec<Need> {
        let mut distinct: Vec<Need> = Vec::new();
        for need in needs(requirements, self.v6) {
            if !distinct.iter().any(|known| known.traffic == need.traffic) {
                distinct.push(need);
            }
        }
        distinct
    }

    /// An accept at run time, with our mark.
    fn marked(&self, need: &Need, mark: &str, condition: &str) -> IptablesRule {
        let tuple = rule(Verb::Allow, &need.traffic, self.v6, String::new());
        let chain = tuple.chain(self.v6);
        IptablesRule {
            rule: tuple.line(self.v6, &format!(" -m comment --comment \"{mark}\"{condition}")),
            count: 1,
            at: self.live.place_for(chain, &need.traffic),
        }
    }

    fn check(&self) -> Action {
        let call = Invocation::new(self.tool, ["--noflush", "--test"]);
        Action::new(
            format!(
                "{} accepts {} with the new rules",
                self.tool.name(),
                self.path().display()
            ),
            Step::Run(call.with_stdin(self.after.text())),
            vec![],
        )
    }

    /// Lets the helper's port in for those who were turned to it, and for nobody else.
    fn bridge(&self) -> Option<Action> {
        let traffic = super::decide::shut(self.wish.helper_port?)?;
        let need = Need {
            id: String::from("bridge"),
            traffic,
        };
        let mark = format!("{}:bridge:helper", self.wish.tag);
        let rules = vec![self.marked(&need, &mark, " -m conntrack --ctstate DNAT")];
        Some(Action::new(
            format!("let in who is turned to the helper ({})", self.word()),
            self.patch("", rules),
            vec![self.patch(&format!("{}:bridge", self.wish.tag), Vec::new())],
        ))
    }

    fn commit(&self, pieces: &mut Pieces, trial: bool) {
        let tag = &self.wish.tag;
        let path = self.path();
        let path = path.display();
        if self.between.text() != self.now.text() {
            pieces.keep.push(Action::new(
                format!("write {path} for the next boot"),
                self.write(&self.between),
                vec![self.write(&self.now)],
            ));
        }
        let (_, rules) = self.live.moved(&self.now, &self.after);
        if trial || !rules.is_empty() || self.wish.helper_port.is_some() {
            let back = self.live.as_is(&self.now, &self.after);
            let (lenient, _) = self.live.moved(&self.now, &self.between);
            let between = lenient.as_is(&self.now, &self.after);
            pieces.settle.push(Action::new(
                format!(
                    "put the permanent rules of ufw in force and take the trial's away ({})",
                    self.word()
                ),
                self.patch(tag, rules),
                vec![self.patch(tag, between)],
            ));
            pieces.restore.push(self.patch(tag, back));
        }
        if self.after.text() != self.between.text() {
            pieces.seal.push(Action::new(
                format!("write {path} for the next boot, without what is to be shut"),
                self.write(&self.after),
                vec![self.write(&self.between)],
            ));
        }
    }
}
