//! A host on which one call goes wrong on purpose: the seam of the fault tests. Only in builds with the feature
//! `fault-injection`, never in a release.
//!
//! Every call that changes the host or starts a program passes through [`Faulty`], and so does every line of the
//! journal. A call is named by the command that this process runs, by the line of the journal that was written last, and
//! by what it does. [`ORDERS`] says which one goes wrong, and how; the runner below `tests/` writes it.

#[cfg(not(debug_assertions))]
compile_error!("faults on purpose have no place in a release: build without the feature fault-injection");

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::{Lock, Output, System, SystemError, summary};
use crate::step::{Invocation, Signal, Tool};

/// Where orders, marks and traces lie: not in the state directory, whose disk may be full.
pub const DIR: &str = "/var/lib/faspwall-faults";
/// What is to go wrong.
pub const ORDERS: &str = "orders.json";
/// There since the fault has been met: each is met once.
pub const MET: &str = "met";
/// There while a process waits at the fault.
pub const PAUSED: &str = "paused";
/// Lets that process go on.
pub const GO: &str = "go";
/// Every call, a line each.
pub const TRACE: &str = "trace";

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    /// The process is killed and the call never made.
    KillBefore,
    /// The call is made, then the process is killed.
    KillAfter,
    /// The process is stopped, as by Ctrl-Z, and the call is made when it goes on.
    Stop,
    /// The call is not made and fails.
    FailBefore,
    /// The call is made, and is told to have failed.
    FailAfter,
    /// The call is not made and fails, and so does every later one of the same program, or on the same file.
    Broken,
    /// The program gives no answer and is ended at its time limit.
    Hang,
    /// The program does what it shall and prints something else.
    Garble,
    /// Waits before the call until it is told to go on.
    Pause,
    /// From here on the clock is a year ahead.
    ClockForward,
    /// From here on the clock is a year behind.
    ClockBack,
}

/// Which call.
#[derive(Debug, Clone, Deserialize)]
struct Aim {
    role: String,
    stage: String,
    what: String,
    number: usize,
    fault: Fault,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Orders {
    aim: Option<Aim>,
    /// Whether every call is written down.
    trace: bool,
    /// How far the time since boot is ahead: a guard need not be waited for.
    ahead_s: u64,
}

#[derive(Debug)]
struct Place {
    /// The line of the journal that was written last.
    stage: String,
    met: BTreeMap<(String, String), usize>,
    broken: Option<Tool>,
    stuck: Option<PathBuf>,
    clock: jiff::SignedDuration,
}

/// The host, with one fault.
pub struct Faulty<'s> {
    system: &'s dyn System,
    orders: Orders,
    role: String,
    place: Mutex<Place>,
}

impl<'s> Faulty<'s> {
    /// That host, with the fault that its [`ORDERS`] name; none without them.
    pub fn new(system: &'s dyn System) -> Self {
        let orders = system
            .read_text(&file(ORDERS))
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        const ROLES: [&str; 8] = [
            "apply", "close-22", "confirm", "extend", "rollback", "status", "guard", "recover",
        ];
        let role = std::env::args()
            .find(|word| ROLES.contains(&word.as_str()))
            .unwrap_or_default();
        Self {
            system,
            orders,
            role,
            place: Mutex::new(Place {
                stage: String::from("start"),
                met: BTreeMap::new(),
                broken: None,
                stuck: None,
                clock: jiff::SignedDuration::ZERO,
            }),
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; the fault that it meets.
    fn meet(&self, what: &str) -> Option<Fault> {
        let what = nameless(what);
        let (stage, number) = {
            let mut place = self.place();
            let stage = place.stage.clone();
            let count = place.met.entry((stage.clone(), what.clone())).or_default();
            *count += 1;
            (stage, *count)
        };
        if self.orders.trace {
            let line = format!("{}\t{stage}\t{what}\t{number}\n", self.role);
            drop(self.system.append(&file(TRACE), line.as_bytes()));
        }
        let aim = self.orders.aim.as_ref()?;
        let staged = aim.stage.is_empty() || aim.stage == stage;
        let here = aim.role == self.role && staged && aim.what == what && aim.number == number;
        if !here || self.system.mode(&file(MET)).is_some() {
            return None;
        }
        drop(self.system.replace(&file(MET), b"", 0o600));
        match aim.fault {
            Fault::KillBefore => self.end(rustix::process::Signal::KILL),
            Fault::Stop => {
                self.mark();
                self.end(rustix::process::Signal::STOP);
            }
            Fault::Pause => self.pause(),
            Fault::ClockForward => self.place().clock = jiff::SignedDuration::from_hours(24 * 366),
            Fault::ClockBack => self.place().clock = jiff::SignedDuration::from_hours(-24 * 366),
            _ => {}
        }
        Some(aim.fault)
    }

    fn end(&self, signal: rustix::process::Signal) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }

    /// Tells which process waits.
    fn mark(&self) {
        let pid = self.system.pid().to_string();
        drop(self.system.replace(&file(PAUSED), pid.as_bytes(), 0o600));
    }

    fn pause(&self) {
        self.mark();
        while self.system.mode(&file(GO)).is_none() {
            self.system.sleep(Duration::from_millis(5));
        }
    }

    /// A call that is told to have failed needs to say how.
    fn pass<T>(
        &self,
        what: &str,
        act: impl FnOnce() -> Result<T, SystemError>,
        failed: impl FnOnce() -> Result<T, SystemError>,
    ) -> Result<T, SystemError> {
        match self.meet(what) {
            Some(Fault::FailBefore | Fault::Broken | Fault::Hang) => failed(),
            Some(Fault::FailAfter) => act().and_then(|_| failed()),
            Some(Fault::KillAfter) => {
                let result = act();
                self.end(rustix::process::Signal::KILL);
                result
            }
            _ => act(),
        }
    }

    fn write(
        &self,
        what: &str,
        path: &Path,
        act: impl FnOnce() -> Result<(), SystemError>,
    ) -> Result<(), SystemError> {
        let failed = || {
            Err(SystemError::File {
                what: "write",
                path: path.to_owned(),
                source: std::io::ErrorKind::StorageFull.into(),
            })
        };
        if self.place().stuck.as_deref() == Some(path) {
            return failed();
        }
        self.pass(what, act, || {
            if self
                .orders
                .aim
                .as_ref()
                .is_some_and(|aim| aim.fault == Fault::Broken)
            {
                self.place().stuck = Some(path.to_owned());
            }
            failed()
        })
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// Transactions have another name on every run.
fn nameless(text: &str) -> String {
    let names =
        regex_lite::Regex::new(r"\d{8}-\d{6}").map(|names| names.replace_all(text, "ID").into_owned());
    names.unwrap_or_else(|_| text.to_owned())
}

/// What a line of the journal says of itself.
fn stage_of(line: &[u8]) -> Option<String> {
    let entry: serde_json::Value = serde_json::from_slice(line).ok()?;
    let text = |name: &str| entry.get(name).map(|value| value.to_string().replace('"', ""));
    let kind = text("entry")?;
    Some(match kind.as_str() {
        "intent" => format!("{} {}", text("phase")?, text("number")?),
        "done" => format!("{} {} done", text("phase")?, text("number")?),
        "waiting" | "confirmed" => format!("{kind} {}", text("trial")?),
        _ => kind,
    })
}

fn broken() -> Output {
    Output {
        status: Some(1),
        stdout: String::new(),
        stderr: String::from("broken on purpose"),
    }
}

impl System for Faulty<'_> {
    fn run(&self, call: &Invocation) -> Result<Output, SystemError> {
        if self.place().broken == Some(call.tool) {
            return Ok(broken());
        }
        match self.meet(&summary(call)) {
            Some(Fault::FailBefore) => Ok(broken()),
            Some(Fault::Broken) => {
                self.place().broken = Some(call.tool);
                Ok(broken())
            }
            Some(Fault::FailAfter) => self.system.run(call).map(|_| broken()),
            Some(Fault::Hang) => {
                self.system.sleep(Duration::from_millis(100));
                Err(SystemError::TimedOut {
                    call: summary(call),
                    limit: Duration::from_millis(call.timeout_ms),
                })
            }
            Some(Fault::Garble) => self.system.run(call).map(|output| Output {
                stdout: String::from("{\u{1}rubbish\u{fffd}[\n*\n-A\n"),
                ..output
            }),
            Some(Fault::KillAfter) => {
                let output = self.system.run(call);
                self.end(rustix::process::Signal::KILL);
                output
            }
            _ => self.system.run(call),
        }
    }

    fn run_on_terminal(
        &self,
        call: &Invocation,
        env: &[(String, String)],
    ) -> Result<Option<i32>, SystemError> {
        self.system.run_on_terminal(call, env)
    }

    fn become_program(&self, call: &Invocation) -> SystemError {
        self.system.become_program(call)
    }

    fn die_with_parent(&self) -> Result<(), SystemError> {
        self.system.die_with_parent()
    }

    fn run_as_init(&self, call: &Invocation) -> Result<Option<i32>, SystemError> {
        self.system.run_as_init(call)
    }

    fn detach(&self, call: &Invocation) -> Result<(), SystemError> {
        let act = || self.system.detach(call);
        let failed = || Err(SystemError::Missing { tool: call.tool });
        self.pass(&format!("detach {}", summary(call)), act, failed)
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, SystemError> {
        self.system.read(path)
    }

    fn list(&self, dir: &Path) -> Vec<PathBuf> {
        self.system.list(dir)
    }

    fn read_link(&self, path: &Path) -> Option<PathBuf> {
        self.system.read_link(path)
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        self.system.resolve(path)
    }

    fn owner(&self, path: &Path) -> Option<u32> {
        self.system.owner(path)
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.system.mode(path)
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), SystemError> {
        let what = format!("write {}", path.display());
        self.write(&what, path, || self.system.replace(path, bytes, mode))
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> Result<(), SystemError> {
        let stage = stage_of(bytes);
        let what = match &stage {
            Some(stage) => format!("journal {stage}"),
            None => format!("append {}", path.display()),
        };
        let act = || {
            self.system.append(path, bytes)?;
            if let Some(stage) = stage {
                self.place().stage = stage;
            }
            Ok(())
        };
        self.write(&what, path, act)
    }

    fn remove(&self, path: &Path) -> Result<(), SystemError> {
        let what = format!("remove {}", path.display());
        self.write(&what, path, || self.system.remove(path))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), SystemError> {
        let what = format!("remove {}", path.display());
        self.write(&what, path, || self.system.remove_dir(path))
    }

    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), SystemError> {
        let what = format!("make {}", path.display());
        self.write(&what, path, || self.system.make_dir(path, mode))
    }

    fn relied_on(&self, path: &Path) -> Result<(), SystemError> {
        self.system.relied_on(path)
    }

    fn seclude(&self, dir: &Path) -> Result<(), SystemError> {
        self.system.seclude(dir)
    }

    fn lock(&self, path: &Path) -> Result<Option<Lock>, SystemError> {
        self.system.lock(path)
    }

    fn lock_record(&self, path: &Path) -> Result<Option<Lock>, SystemError> {
        self.system.lock_record(path)
    }

    fn locate(&self, tool: Tool) -> Option<PathBuf> {
        self.system.locate(tool)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.system.env(name)
    }

    fn pid(&self) -> u32 {
        self.system.pid()
    }

    fn ids(&self) -> (u32, u32) {
        self.system.ids()
    }

    fn is_root(&self) -> bool {
        self.system.is_root()
    }

    fn enter_network(&self, path: &Path) -> Result<(), SystemError> {
        self.system.enter_network(path)
    }

    fn tune(&self, path: &Path, value: &str) -> Result<(), SystemError> {
        self.system.tune(path, value)
    }

    fn input(&self) -> Result<String, SystemError> {
        self.system.input()
    }

    fn signal(&self, pid: u32, signal: Signal) -> Result<(), SystemError> {
        let failed = || {
            Err(SystemError::Kernel {
                what: "cannot send a signal",
                source: std::io::ErrorKind::PermissionDenied.into(),
            })
        };
        self.pass("signal", || self.system.signal(pid, signal), failed)
    }

    fn boottime(&self) -> Duration {
        self.system.boottime() + Duration::from_secs(self.orders.ahead_s)
    }

    fn now(&self) -> jiff::Timestamp {
        let now = self.system.now();
        now.checked_add(self.place().clock).unwrap_or(now)
    }

    fn sleep(&self, time: Duration) {
        self.system.sleep(time);
    }

    fn random(&self) -> Result<u64, SystemError> {
        self.system.random()
    }

    fn ignore_hang_up(&self) {
        self.system.ignore_hang_up();
    }

    fn become_independent(&self) {
        self.system.become_independent();
    }

    fn recorded(&self) -> Option<&Path> {
        self.system.recorded()
    }
}
