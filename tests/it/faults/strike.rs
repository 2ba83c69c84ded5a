//! What comes from outside while the program waits at a call: kills, hang-ups, cables, full disks, the power.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::host::{DIR, Host};
use super::point::{Case, Fault};
use crate::boxes::{Family, seconds};

impl Host {
    /// Waits until a process that nobody here started stands at the fault, and lets the world outside strike there.
    pub fn await_and_strike(&mut self, case: &Case) -> Result<bool, String> {
        let start = Instant::now();
        while start.elapsed() < seconds(30) {
            if let Some(pid) = self.mark("paused") {
                self.strike(case.fault, pid.trim(), None)?;
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(false)
    }

    /// Runs one command of the move whose process may stop at the fault; there the world outside strikes.
    pub fn walk_and_wait(&mut self, program: &str, case: &Case) -> Result<bool, String> {
        let mut child = self.begin(program, case.fault, case.point.of_way_back());
        let start = Instant::now();
        loop {
            if let Some(pid) = self.mark("paused") {
                self.strike(case.fault, pid.trim(), Some(&mut child))?;
                return Ok(true);
            }
            if let Ok(Some(status)) = child.try_wait() {
                if self.mark("paused").is_some() {
                    continue;
                }
                if status.success() {
                    return Ok(false);
                }
                return Err(format!("{program} failed before its fault was met"));
            }
            if start.elapsed() > seconds(240) {
                return Err(format!("{program} neither ended nor met its fault"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// At a console, or in a login from outside where that is to be cut off.
    pub fn begin(&self, program: &str, fault: Fault, way_back: bool) -> Child {
        let words = Self::words(program).join(" ");
        let outside = [Fault::HangUp, Fault::LinkDown].contains(&fault);
        let mut command = if outside {
            let code = || {
                crate::moves::status(&self.machine)["open"]["code"]
                    .as_str()
                    .map(str::to_owned)
            };
            // It begins at the old door and is confirmed at the new one, which on a way back is the other one.
            let port = match program {
                "apply" => 22,
                "confirm" if way_back => 22,
                _ => 33001,
            };
            let words = match program {
                "confirm" => words.replace("keep", &code().unwrap_or_default()),
                _ => words,
            };
            let words = self.machine.ssh_words(port, Family::V4, &["-tt"], &words);
            let mut command = std::process::Command::new(&words[0]);
            command.args(&words[1..]);
            command
        } else {
            self.machine.command(&Self::words(program))
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts")
    }

    /// What happens while process `pid` of the machine waits; afterwards that process is over.
    pub fn strike(&mut self, fault: Fault, pid: &str, mut child: Option<&mut Child>) -> Result<(), String> {
        // While nothing moves, too, nobody may be locked out.
        if fault != Fault::Power {
            self.reachable()?;
        }
        let go = || self.machine.put(&format!("{DIR}/go"), "", 0o600);
        let kill = || self.machine.run(&["kill", "-9", pid]);
        let mut end_child = || {
            if let Some(child) = child.as_mut() {
                let _ = child.kill();
                let _ = child.wait();
            }
        };
        let no_guard = "systemctl stop 'faspwall-guard-*.timer' 'faspwall-guard-*.service'";
        match fault {
            Fault::Stop => {
                kill();
                // Stopped together with its child, the nsenter above it would never collect it.
                end_child();
            }
            Fault::GuardKilled => {
                self.machine.sh(no_guard);
                go();
            }
            Fault::BothKilled => {
                self.machine.sh(no_guard);
                kill();
            }
            Fault::HangUp => {
                end_child();
                go();
            }
            Fault::LinkDown => {
                self.blind(true);
                self.machine.link(false);
                go();
            }
            Fault::DiskFull => {
                self.machine
                    .run(&["dd", "if=/dev/zero", "of=/var/lib/faspwall/filler", "bs=4k"]);
                go();
            }
            _ => {
                self.lose_power();
                end_child();
            }
        }
        let start = Instant::now();
        let process = self.machine.inside(&format!("/proc/{pid}/stat"));
        let alive = |stat: String| !stat.contains(") Z ");
        let there = || std::fs::read_to_string(&process).is_ok_and(alive);
        while fault != Fault::Power && there() {
            if start.elapsed() > seconds(90) {
                self.blind(false);
                return Err(format!("process {pid} goes on for ever after {fault:?}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        match fault {
            Fault::LinkDown => {
                self.machine.link(true);
                self.blind(false);
                end_child();
            }
            Fault::DiskFull => drop(self.machine.run(&["rm", "/var/lib/faspwall/filler"])),
            _ => {}
        }
        if let Some(child) = child {
            let _ = child.wait();
        }
        Ok(())
    }
}
