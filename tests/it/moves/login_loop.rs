//! Somebody logs in a hundred times a second, all the time: there is no instant without an sshd that answers.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Family, Machine, Suite, assert_open, code, confirm, document, fingerprint, server};

/// Time between two tries.
pub const PACE: Duration = Duration::from_millis(10);
/// An open port answers on this cable within a fraction of a millisecond: what takes longer was dropped, and the other
/// port is tried at once. Longer would ask about another instant, shorter than the kernel's scheduling would ask about
/// the load of the test's own host.
const PATIENCE: Duration = Duration::from_millis(150);

/// Tries to reach an sshd on 22 or 33001, over and over.
pub struct Loop {
    end: Arc<AtomicBool>,
    tally: Arc<Tally>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Tally {
    tries: AtomicUsize,
    /// Milliseconds since the start, with what happened on either port.
    unanswered: Mutex<Vec<String>>,
    /// Tries whose first port did not answer and whose second one did.
    second: AtomicUsize,
}

impl Loop {
    /// Begins, with that time between two tries.
    pub fn start(machine: &Machine, pace: Duration) -> Self {
        let address = machine.address(Family::V4);
        let ports = [22u16, 33001].map(|port| format!("{address}:{port}").parse().expect("an address"));
        let end = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Tally::default());
        let (stop, count) = (Arc::clone(&end), Arc::clone(&tally));
        let ticker = std::thread::spawn(move || {
            let began = Instant::now();
            // The port that answered last is tried first.
            let preferred = Arc::new(AtomicUsize::new(0));
            let mut running = Vec::new();
            let mut next = began;
            while !stop.load(Ordering::SeqCst) {
                let (count, preferred) = (Arc::clone(&count), Arc::clone(&preferred));
                running.push(std::thread::spawn(move || one(ports, &count, &preferred, began)));
                next += pace;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            for thread in running {
                thread.join().expect("a try does not panic");
            }
        });
        Self {
            end,
            tally,
            ticker: Some(ticker),
        }
    }

    /// Ends it; fails the test when a try was not answered.
    pub fn assert_always_answered(mut self, machine: &Machine, what: &str) {
        self.end.store(true, Ordering::SeqCst);
        self.ticker
            .take()
            .expect("it runs")
            .join()
            .expect("no panic in the loop");
        let tries = self.tally.tries.load(Ordering::SeqCst);
        let second = self.tally.second.load(Ordering::SeqCst);
        let unanswered = self.tally.unanswered.lock().expect("the list");
        let overflows = machine.sh("awk '/^TcpExt:/ { for (i = 1; i <= NF; i++) { if (n[i] == \"ListenOverflows\") print $i; n[i] = $i } }' /proc/net/netstat");
        println!("queue overflows {}", overflows.trim());
        println!(
            "{what}: {tries} tries, {second} answered by the second port, {} unanswered",
            unanswered.len()
        );
        assert!(tries > 20, "only {tries} tries");
        assert!(
            unanswered.is_empty(),
            "{what}: {} of {tries} tries were not answered:\n{}",
            unanswered.len(),
            unanswered.join("\n")
        );
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
    }
}

fn one(ports: [SocketAddr; 2], tally: &Tally, preferred: &AtomicUsize, began: Instant) {
    tally.tries.fetch_add(1, Ordering::SeqCst);
    let at = began.elapsed().as_millis();
    let first = preferred.load(Ordering::SeqCst);
    let mut told = Vec::new();
    for (turn, index) in [first, 1 - first].into_iter().enumerate() {
        match banner(ports[index]) {
            Ok(()) => {
                if turn == 1 {
                    tally.second.fetch_add(1, Ordering::SeqCst);
                    preferred.store(index, Ordering::SeqCst);
                }
                return;
            }
            Err(error) => told.push(format!("{}: {error}", ports[index].port())),
        }
    }
    let line = format!("at {at} ms: {}", told.join("; "));
    tally.unanswered.lock().expect("the list").push(line);
}

/// Whether an sshd says its name there.
fn banner(address: SocketAddr) -> Result<(), std::io::Error> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut name = [0; 4];
    stream.read_exact(&mut name)?;
    if &name == b"SSH-" {
        Ok(())
    } else {
        Err(std::io::Error::other("no banner"))
    }
}

#[test]
fn a_hundred_logins_a_second_meet_no_instant_without_an_answer() {
    let machine = server(Suite::Bookworm);
    // A hundred strangers at once are more than sshd lets wait by default.
    machine.put(
        "/etc/ssh/sshd_config.d/10-load.conf",
        "MaxStartups 2000:30:4000\n",
        0o644,
    );
    machine.ok(&["systemctl", "restart", "ssh"]);
    let before = fingerprint(&machine);

    let there = Loop::start(&machine, PACE);
    let trial = super::apply(&machine, 120);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    std::thread::sleep(Duration::from_millis(500));
    there.assert_always_answered(&machine, "the move");
    assert_open(&machine, &[33001]);

    let back = Loop::start(&machine, PACE);
    let trial = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    let trial = document(&confirm(&machine, 22, &code(&trial)));
    let done = document(&confirm(&machine, 22, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    std::thread::sleep(Duration::from_millis(500));
    back.assert_always_answered(&machine, "the way back");
    super::assert_as_before(&machine, &before, "after the way back");
}

#[test]
fn the_undo_of_an_unconfirmed_move_leaves_no_instant_without_an_answer() {
    let machine = server(Suite::Bookworm);
    machine.put(
        "/etc/ssh/sshd_config.d/10-load.conf",
        "MaxStartups 2000:30:4000\n",
        0o644,
    );
    machine.ok(&["systemctl", "restart", "ssh"]);
    let before = fingerprint(&machine);
    let all = Loop::start(&machine, PACE);
    let trial = super::apply(&machine, 60);
    document(&confirm(&machine, 33001, &code(&trial)));
    document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    std::thread::sleep(Duration::from_millis(500));
    all.assert_always_answered(&machine, "trial 2 and its undo");
    super::assert_as_before(&machine, &before, "after the undo");
}
