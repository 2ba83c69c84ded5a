//! Process 1 of a rehearsal: builds the copy, asks, performs the change, asks again, undoes, compares.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;

use super::blocker::{Search, blockers, diversions};
use super::boot::PRIVATE;
use super::flow::Flows;
use super::probe::{Sides, ask_surely, warm_up};
use super::questions::Question;
use super::reboot::{Etc, reboot};
use super::serve::listen;
use super::{FAR_FILE, RehearseError, Script, load, network, pasted, sweep};
use crate::backend::nftables::Ruleset;
use crate::change::Change;
use crate::engine::snapshot::differences;
use crate::engine::{Engine, EngineError};
use crate::matrix::{Cell, Rehearsal, Verdict};
use crate::sealed;
use crate::step::{Action, Step, Tool};
use crate::system::{System, SystemError};
use crate::transaction::Phase;

/// Beginnings of the lines that the outer process reads.
pub const SAY: &str = "say ";
/// The result.
pub const RESULT: &str = "result ";
/// Why there is none.
pub const FAILED: &str = "failed ";

/// Where everything of the copy lies that is written.
const HOME: &str = "/run/faspwall-rehearsal";
/// What cannot be seen in a copy, whatever the host is like.
const NEVER_SEEN: [&str; 2] = [
    "firewalls outside of this host: a cloud's security groups, routers",
    "what is no packet filter: SELinux, /etc/hosts.allow, PAM, XDP and tc programs",
];

/// The stage `host`.
pub fn host(system: &dyn System) -> Result<u8, RehearseError> {
    if system.pid() != 1 {
        return Err(RehearseError::NotSealed("not process 1"));
    }
    sealed::check(system).map_err(RehearseError::NotSealed)?;
    let text = system.input()?;
    let outcome = serde_json::from_str::<Script>(&text)
        .map_err(|error| RehearseError::Broken(error.to_string()))
        .and_then(|script| {
            if script.survey {
                survey(system, &script)
            } else {
                run(system, &script)
            }
        });
    match outcome {
        Ok(text) => println!("{RESULT}{text}"),
        Err(error) => {
            let text = match error {
                RehearseError::System(source) => source.to_string(),
                RehearseError::Broken(text) => text,
                other => other.to_string(),
            };
            println!("{FAILED}{}", text.replace('\n', " "));
        }
    }
    Ok(0)
}

/// Tells the outer process what is being done.
pub fn say(text: &str) {
    println!("{SAY}{text}");
}

fn survey(system: &dyn System, script: &Script) -> Result<String, RehearseError> {
    private_files(system)?;
    pasted::put_files(system, script.files.as_deref().unwrap_or_default())?;
    network::build(system, &script.cast)?;
    Ok(serde_json::to_string(&pasted::survey(system, script)?).unwrap_or_default())
}

fn run(system: &dyn System, script: &Script) -> Result<String, RehearseError> {
    private_files(system)?;
    if let Some(files) = &script.files {
        pasted::put_files(system, files)?;
    }
    let start = system.boottime();
    say("building a copy of this host's network");
    network::build(system, &script.cast)?;
    network::tune(system, &script.copy.settings);
    let flow = flow_ends(script);
    let extra: Vec<SocketAddr> = flow.iter().map(|(_, to)| *to).collect();
    let arrivals = listen(system, &script.questions, &extra, Path::new(FAR_FILE))?;
    let sides = Sides {
        system,
        far: Path::new(FAR_FILE),
        arrivals: &arrivals,
    };
    let all: Vec<&Question> = script.questions.iter().collect();
    if !warm_up(sides, &all)? {
        return Err(RehearseError::Broken(
            "packets do not arrive in the copy although no rules are loaded there yet".to_owned(),
        ));
    }
    let mut flows = Flows::open(system, flow)?;
    say(if script.copy.firewalld.is_some() {
        "loading the copy of the rules, and a firewalld for them"
    } else {
        "loading the copy of the rules"
    });
    let mut rehearsal = Rehearsal {
        not_rehearsed: NEVER_SEEN.map(str::to_owned).into(),
        ..Rehearsal::default()
    };
    rehearsal.not_rehearsed.extend(script.cast.notes.iter().cloned());
    rehearsal
        .not_rehearsed
        .extend(script.copy.left_out.iter().cloned());
    load::load(system, &script.copy, &mut rehearsal.not_rehearsed)?;
    flows.loaded(system)?;
    let stage = Stage {
        script,
        engine: Engine::new(system, Path::new(HOME).join("state")),
        sides,
    };
    stage.rehearse(&mut rehearsal, &mut flows)?;
    let millis = system.boottime().saturating_sub(start).as_millis();
    rehearsal.millis = u64::try_from(millis).unwrap_or(u64::MAX);
    Ok(serde_json::to_string(&rehearsal).unwrap_or_default())
}

/// Everything is read-only but what lies in memory: `/etc` shows the host's files and keeps what is written to it.
fn private_files(system: &dyn System) -> Result<(), SystemError> {
    let own = |point: &Path| point.components().count() <= 3 && !point.starts_with("/run");
    sealed::read_only(system, own)?;
    sealed::empty(system, "/run", "755")?;
    sealed::empty(system, "/tmp", "1777")?;
    let (upper, work) = (upper(), Path::new(HOME).join("work"));
    for dir in [&upper, &work] {
        system.make_dir(dir, 0o755)?;
    }
    let options = format!(
        "lowerdir=/etc,upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    let words = ["-t", "overlay", "-o", &options, "overlay", "/etc"];
    system.run_ok(&sealed::mount(words))?;
    // Nobody answers for names in a copy, and whoever asks shall be told so at once.
    let names = Path::new("/etc/resolv.conf");
    system.remove(names)?;
    system.replace(
        names,
        b"nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        0o644,
    )
}

/// Where what is written below `/etc` lies.
fn upper() -> PathBuf {
    Path::new(HOME).join("etc")
}

/// From where, and to which port, the operator's session goes.
fn flow_ends(script: &Script) -> Option<(IpAddr, SocketAddr)> {
    let from = script.cast.admin.or(script.cast.strangers.first().copied())?;
    let port = script.cast.session_port?;
    Some((from, SocketAddr::new(script.cast.near(from)?, port)))
}

/// The copy, ready to be asked.
pub struct Stage<'a> {
    /// What is played.
    pub script: &'a Script,
    engine: Engine<'a>,
    /// Where questions are put from.
    pub sides: Sides<'a>,
}

impl Stage<'_> {
    fn rehearse(&self, rehearsal: &mut Rehearsal, flows: &mut Flows) -> Result<(), RehearseError> {
        let questions = &self.script.questions;
        let (before, kernel, failed) = self.at_first()?;
        let mut judged = Judged::new(questions, before);
        let mut swept = self.sweep(None)?;
        let mut done: Vec<&Action> = Vec::new();
        if let Some(change) = &self.script.change {
            rehearsal.failed = match failed {
                Some(failed) => Some(failed),
                None => self.perform(change, &mut done, &mut judged, flows)?,
            };
            rehearsal.not_rehearsed.extend(self.skipped(change));
        }
        rehearsal.flow_tracked = flows.tracked_ok;
        rehearsal.flow_untracked = flows.untracked_ok;
        rehearsal.not_rehearsed.extend(flows.left_to_end.take());
        rehearsal.cells = judged.cells(questions);
        let swept_after = self.sweep(swept.as_ref())?;
        rehearsal.blockers.clone_from(&self.script.known_blockers);
        let red = |wanted: bool| -> Vec<&Question> {
            let pairs = questions.iter().zip(&rehearsal.cells);
            let red = pairs.filter(|(question, cell)| question.wanted == Some(wanted) && !cell.ok());
            red.map(|(question, _)| question).collect()
        };
        let (shut, open) = (red(true), red(false));
        let search = Search {
            stage: self,
            saves: &self.script.copy.saves,
            boot: None,
        };
        rehearsal.blockers.extend(diversions(&search, &open)?);
        if !shut.is_empty() {
            say("looking for what keeps it shut");
            rehearsal.blockers.extend(blockers(&search, &shut)?);
        }
        let committed = (!done.is_empty()).then(|| Etc::now(self.sides.system, &upper()));
        if !done.is_empty() {
            say("undoing the change and comparing");
            rehearsal.undo = self.undo(&done, &kernel)?;
            flows.undone(self.sides.system, rehearsal);
        }
        if let (Some(before), Some(after)) = (&mut swept, &swept_after) {
            if !done.is_empty() {
                sweep::look_again(self.sides.system, self.script, self.sides.far, before, after)?;
            }
            rehearsal.sweep = sweep::rows(self.script, before, after);
        }
        reboot(self, committed.as_ref(), rehearsal)
    }

    /// What the ports answer as the host is, the rules of then, and why a check of the change failed. Neither a look at
    /// the rules nor a check changes anything, so that both are done while answers are waited for.
    fn at_first(&self) -> Result<(Vec<Verdict>, Ruleset, Option<String>), RehearseError> {
        say("asking every port as the host is");
        let all: Vec<usize> = (0..self.script.questions.len()).collect();
        let (answers, kernel, failed) = thread::scope(|scope| {
            let asking = scope.spawn(|| self.ask(&all, &vec![None; all.len()]));
            let kernel = self.kernel();
            let failed = self.script.change.as_ref().and_then(|change| self.check(change));
            (asking.join(), kernel, failed)
        });
        let answers = answers.map_err(|_| RehearseError::Broken("the questions were given up".to_owned()))?;
        Ok((answers?, kernel?, failed))
    }

    /// All rules as the kernel has them now, to be asked what becomes of packets.
    pub fn live(&self) -> Result<Ruleset, RehearseError> {
        self.engine
            .live_ruleset()
            .map_err(|error| RehearseError::Broken(error.to_string()))
    }

    /// The same to be compared with another.
    fn kernel(&self) -> Result<Ruleset, RehearseError> {
        self.engine
            .loaded_ruleset()
            .map_err(|error| RehearseError::Broken(error.to_string()))
    }

    /// The same as nft alone sees them: with the handles by which a rule is put beside another one.
    pub fn by_handle(&self) -> Result<Ruleset, RehearseError> {
        self.engine
            .nft_ruleset()
            .map_err(|error| RehearseError::Broken(error.to_string()))
    }

    /// Looks at all ports when that is asked for.
    fn sweep(&self, known: Option<&sweep::Seen>) -> Result<Option<sweep::Seen>, RehearseError> {
        if !self.script.sweep {
            return Ok(None);
        }
        say("sending a packet to every port");
        sweep::sweep(self.sides.system, self.script, self.sides.far, known).map(Some)
    }

    /// Asks some of the questions; `wished` has an entry for each of them.
    pub fn ask(&self, chosen: &[usize], wished: &[Option<bool>]) -> Result<Vec<Verdict>, RehearseError> {
        let questions: Vec<&Question> = chosen
            .iter()
            .filter_map(|index| self.script.questions.get(*index))
            .collect();
        let wish = |index: usize| wished.get(index).copied().flatten();
        self.forget_hits();
        Ok(ask_surely(self.sides, &questions, wish)?)
    }

    /// Rules may count how often somebody came (`recent`, ufw's limit) and turn him away. The questions of one phase are
    /// not to be held against those of the next.
    fn forget_hits(&self) {
        for list in self.sides.system.list(Path::new("/proc/net/xt_recent")) {
            // A list that does not take it keeps its hits: then a question may find the door shut.
            drop(self.sides.system.tune(&list, "/"));
        }
    }

    /// Whether the change is a way back that shuts the port of the operator's session.
    fn leaves_the_session(&self, change: &Change) -> bool {
        let port = self.script.cast.session_port;
        change.reverts.is_some()
            && port != change.door
            && port.is_some_and(|port| change.closed.contains(&format!("TCP/{port}")))
    }

    /// Performs phase after phase and asks after each. A step that fails ends it.
    fn perform<'c>(
        &self,
        change: &'c Change,
        done: &mut Vec<&'c Action>,
        judged: &mut Judged,
        flows: &mut Flows,
    ) -> Result<Option<String>, RehearseError> {
        let mut failed = None;
        for phase in [Phase::Trial1, Phase::Trial2, Phase::Commit] {
            let actions = change.actions(phase);
            if actions.is_empty() {
                continue;
            }
            say(&format!("{phase}: {} steps", actions.len()));
            for action in actions {
                done.push(action);
                failed = self.fails(action);
                if failed.is_some() {
                    break;
                }
            }
            let last = failed.is_some() || phase == Phase::Commit;
            let (chosen, wished) = judged.due(phase, last);
            let verdicts = self.ask(&chosen, &wished)?;
            judged.take(&chosen, &wished, &verdicts);
            if phase == Phase::Commit && self.leaves_the_session(change) {
                flows.look_back(self.sides.system);
            } else {
                flows.look(self.sides.system, phase);
            }
            if failed.is_some() {
                break;
            }
        }
        Ok(failed)
    }

    /// Performs the checks: what the first one that fails tells.
    fn check(&self, change: &Change) -> Option<String> {
        change
            .actions(Phase::Check)
            .iter()
            .find_map(|action| self.fails(action))
    }

    /// Why an action cannot be done.
    fn fails(&self, action: &Action) -> Option<String> {
        let error = self.step(&action.step).err()?;
        Some(format!("{}: {error}", action.say))
    }

    fn step(&self, step: &Step) -> Result<(), EngineError> {
        if left_out(step).is_some() {
            return Ok(());
        }
        self.engine.perform(step)
    }

    /// Kinds of steps that make no sense here, each named once.
    fn skipped(&self, change: &Change) -> Vec<String> {
        let phases = [Phase::Check, Phase::Trial1, Phase::Trial2, Phase::Commit];
        let steps = phases.iter().flat_map(|phase| change.actions(*phase));
        let kinds: BTreeSet<&str> = steps.filter_map(|action| left_out(&action.step)).collect();
        kinds.into_iter().map(str::to_owned).collect()
    }

    /// Takes everything back, newest first, and tells what differs afterwards.
    fn undo(&self, done: &[&Action], before: &Ruleset) -> Result<Vec<String>, RehearseError> {
        let mut lines = Vec::new();
        for step in done.iter().rev().flat_map(|action| &action.undo) {
            if let Err(error) = self.step(step) {
                lines.push(format!("an undo step failed: {error}"));
            }
        }
        lines.extend(differences(before, self.kernel()?));
        Ok(lines)
    }
}

/// What a step is about that has no place in a copy; `None` for one that is performed.
fn left_out(step: &Step) -> Option<&'static str> {
    const SSHD: &str = "sshd itself: its new configuration, the second daemon";
    const UNITS: &str = "systemd's units";
    match step {
        Step::Run(call) | Step::Try(call) | Step::Unshut(call) => match call.tool {
            Tool::Sshd | Tool::Ssh | Tool::SshKeygen => Some(SSHD),
            Tool::Systemctl | Tool::SystemdRun => Some(UNITS),
            Tool::Semanage => Some("SELinux's word on ports"),
            Tool::Fail2banClient => Some("fail2ban's jails"),
            Tool::Wall => Some("messages to other terminals"),
            _ => None,
        },
        Step::SignalPidFile { .. }
        | Step::StartIfSilent { .. }
        | Step::Drain { .. }
        | Step::AwaitTcp { .. } => Some(SSHD),
        Step::Write { path, .. } | Step::Revise { path, .. } | Step::Remove(path) => {
            let private = PRIVATE.iter().any(|dir| path.starts_with(dir));
            (!private).then_some("files outside of /etc")
        }
        Step::Tune { .. }
        | Step::SweepNft { .. }
        | Step::SweepIptables { .. }
        | Step::PatchIptables { .. } => None,
    }
}

/// The answers so far.
struct Judged {
    wanted: Vec<Option<bool>>,
    before: Vec<Verdict>,
    /// The first wrong answer, or the last one.
    after: Vec<(Verdict, bool)>,
}

impl Judged {
    fn new(questions: &[Question], before: Vec<Verdict>) -> Self {
        Self {
            wanted: questions.iter().map(|q| q.wanted).collect(),
            after: before.iter().map(|verdict| (*verdict, false)).collect(),
            before,
        }
    }

    /// What is asked after a phase, and what the answers must be. A trial must have opened what is wanted and shut
    /// nothing but, in its second part, what is to be shut; controls are asked at the end.
    fn due(&self, phase: Phase, last: bool) -> (Vec<usize>, Vec<Option<bool>>) {
        let was_open = |index: usize| self.before.get(index).is_some_and(|verdict| verdict.lets_in());
        let pairs = self.wanted.iter().enumerate().filter_map(|(index, wanted)| {
            let wish = match wanted {
                Some(false) if phase == Phase::Trial1 => Some(was_open(index)).filter(|open| *open),
                Some(open) => Some(*open),
                None => Some(was_open(index)),
            };
            // What was wrong once stays so: nobody need wait for it again.
            let wrong = self.after.get(index).is_some_and(|after| after.1);
            let wish = wish.filter(|_| !wrong);
            let due = last || (wanted.is_some() && wish.is_some());
            due.then_some((index, wish))
        });
        pairs.unzip()
    }

    fn take(&mut self, chosen: &[usize], wished: &[Option<bool>], verdicts: &[Verdict]) {
        for ((index, wish), verdict) in chosen.iter().zip(wished).zip(verdicts) {
            let Some(after) = self.after.get_mut(*index) else {
                continue;
            };
            let wrong = wish.is_some_and(|open| verdict.lets_in() != open);
            if !after.1 {
                *after = (*verdict, wrong);
            }
        }
    }

    fn cells(&self, questions: &[Question]) -> Vec<Cell> {
        let answers = self.before.iter().zip(&self.after);
        let cells = questions
            .iter()
            .zip(answers)
            .map(|(question, (before, after))| Cell {
                id: question.id.clone(),
                from: question.from(),
                direction: question.direction,
                protocol: question.protocol,
                port: question.port,
                family: question.family(),
                wanted: question.wanted,
                before: *before,
                after: after.0,
                boot: None,
            });
        cells.collect()
    }
}
