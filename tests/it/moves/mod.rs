//! The promise of the whole program, on real machines: SSH moves to its new port and everything is kept, or the host is
//! as before. Each test is named after the promise that it shows.

mod as_it_is;
mod at_boot;
mod attacks;
mod choices;
mod connected;
mod documents;
mod faults;
pub mod firewalld;
mod hosts;
pub mod iptables;
mod killed;
mod login_loop;
mod neighbours;
mod next_boot;
mod nothing_filters;
mod others;
mod plain;
mod power;
mod preview;
mod product;
mod refused;
mod same;
mod sshd;
mod two_phases;
pub mod ufw;
mod unconfirmed;
mod whole;
mod wizard;
mod zones;

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use super::boxes::{Family, Machine, Protocol, Ran, Suite, seconds, wait};

/// A server whose ruleset nobody here wrote: everything is dropped by default, twice, by chains of different priority;
/// one program bans addresses for a while, another one keeps a table of its own.
pub const RULES: &str = r#"#!/usr/sbin/nft -f
flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iif "lo" accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 22 counter accept comment "the door"
		tcp dport 8080 accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
	chain output {
		type filter hook output priority filter; policy accept;
	}
}
table inet gate {
	chain early {
		type filter hook input priority filter - 10; policy accept;
		ct state established,related accept
		iif "lo" accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport { 22, 8080 } accept
		counter drop comment "whatever is left"
	}
}
table inet f2b-table {
	set addr-set-sshd {
		type ipv4_addr
		flags timeout
		elements = { 203.0.113.9 timeout 1d }
	}
	chain f2b-chain {
		type filter hook input priority filter - 1; policy accept;
		tcp dport 22 ip saddr @addr-set-sshd reject
	}
}
table ip containers {
	chain published {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "br-none" tcp dport 8443 dnat to 172.31.255.2:443
	}
}
"#;

/// The vendor's main case.
pub const ANSWERS: &str =
    "schema = 1\nrole = \"connect-server\"\n\n[ssh]\nport = 33001\nlegacy_22 = \"close\"\n";

/// The ports of the fallback and of the web pages.
pub const WEB: [u16; 4] = [8080, 8443, 80, 443];

/// The same with all that a Connect Server may open for browsers and for clients that cannot use UDP.
pub const WITH_FALLBACK: &str = "schema = 1\nrole = \"connect-server\"\n\n[ssh]\nport = 33001\nlegacy_22 = \"close\"\n\n\
                                 [http_fallback]\nhttp = 8080\nhttps = 8443\n\n[web_ui]\nhttp = 80\nhttps = 443\n";

/// A machine with [`RULES`], the program, and answers at `/root/answers.toml`.
pub fn server(suite: Suite) -> Machine {
    let machine = Machine::boot(suite);
    machine.install();
    machine.put("/etc/nftables.conf", RULES, 0o755);
    machine.ok(&["systemctl", "enable", "--quiet", "--now", "nftables"]);
    machine.ok(&[
        "nft",
        "add element inet f2b-table addr-set-sshd { 198.51.100.7 timeout 1h }",
    ]);
    machine.put("/root/answers.toml", ANSWERS, 0o600);
    machine
}

/// The ruleset as text, without counters and the time that elements have left.
pub fn ruleset(machine: &Machine) -> String {
    machine.ok(&["nft", "-s", "list", "ruleset"])
}

/// What must be the same again after an undo: rules, files, listening ports, units.
pub fn fingerprint(machine: &Machine) -> String {
    let files = "find /etc/ssh /etc/nftables.conf /etc/nftables.d /etc/systemd/system -type f 2>/dev/null | sort \
                 | xargs sha256sum";
    let ports = "ss -Hltn | awk '{print $4}' | sort";
    // A unit that is over stays in systemd's list for as long as it likes.
    let units = "systemctl list-units --all --plain --no-legend 'faspwall*' | awk '$3 != \"inactive\" {print $1, $3}'";
    format!(
        "{}{}",
        ruleset(machine),
        machine.sh(&format!("{files}; {ports}; {units}"))
    )
}

/// Fails the test unless everything becomes as it was. What the last logins leave behind is gone a moment later.
pub fn assert_as_before(machine: &Machine, before: &str, when: &str) {
    let start = std::time::Instant::now();
    while fingerprint(machine) != before {
        if start.elapsed() > seconds(5) {
            let now = fingerprint(machine);
            let diff = similar::TextDiff::from_lines(before, &now);
            let units = machine
                .run(&["systemctl", "status", "--all", "--no-pager", "faspwall*"])
                .stdout;
            panic!(
                "{when}, the host is not as before:\n{}\n{units}",
                diff.unified_diff()
            );
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Starts an apply in a login on port 22, which must bring trial 1 to life; returns its document.
pub fn apply(machine: &Machine, window: u64) -> Value {
    let command = format!("faspwall apply -f /root/answers.toml --confirm-within {window}s --json");
    let trial = document(&machine.ssh(22, Family::V4, &command));
    assert_eq!(trial["state"], "awaiting-confirmation", "{trial}");
    assert_eq!(trial["trial"], 1, "{trial}");
    trial
}

/// Confirms from a new login on that port.
pub fn confirm(machine: &Machine, port: u16, code: &str) -> Ran {
    machine.ssh(port, Family::V4, &format!("faspwall confirm {code} --json"))
}

/// The code of a trial's document.
pub fn code(trial: &Value) -> String {
    trial["code"].as_str().expect("a code").to_owned()
}

/// The JSON document of a call that succeeded.
#[track_caller]
pub fn document(ran: &Ran) -> Value {
    assert!(ran.ok(), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
}

/// What `status --json` says.
pub fn status(machine: &Machine) -> Value {
    document(&machine.run(&["faspwall", "status", "--json"]))
}

/// Both families see exactly these TCP ports open, of 22 and 33001.
pub fn assert_open(machine: &Machine, ports: &[u16]) {
    let look = |family| machine.scan(Protocol::Tcp, "22,33001", family);
    let both = std::thread::scope(|scope| {
        let v6 = scope.spawn(|| look(Family::V6));
        let v4 = look(Family::V4);
        [(Family::V4, v4), (Family::V6, v6.join().expect("a scan"))]
    });
    for (family, seen) in both {
        for port in [22, 33001] {
            let wanted = if ports.contains(&port) { "open" } else { "filtered" };
            assert_eq!(seen[&port], wanted, "TCP/{port} over {family:?}; all: {seen:?}");
        }
    }
}

/// Of the ports of [`WITH_FALLBACK`] beside SSH and fasp, these alone are let in, in both families. Nobody listens there:
/// what gets through is answered "closed".
pub fn assert_fallback(machine: &Machine, let_in: &[u16], when: &str) {
    for family in [Family::V4, Family::V6] {
        let seen = machine.scan(Protocol::Tcp, "8080,8443,80,443,7", family);
        for (port, state) in &seen {
            let wanted = if let_in.contains(port) {
                "closed"
            } else {
                "filtered"
            };
            assert_eq!(state, wanted, "{when}, TCP/{port} over {family:?}; all: {seen:?}");
        }
    }
}

/// Waits until no transaction is open; returns the status then.
pub fn until_over(machine: &Machine, limit: u64) -> Value {
    wait("the end of the transaction", seconds(limit), || {
        let status = status(machine);
        (status["open"].is_null() && status["interrupted"].is_null()).then_some(status)
    })
}

/// Ends everything that could act: timers and units, any faspwall, and the program itself. The kernel is left, and the
/// daemons of others.
pub fn end_all_of_ours(machine: &Machine) {
    machine.sh("systemctl stop 'faspwall*.timer' 'faspwall*.service'; \
         for p in $(ps -eo pid,comm | awk '$2 ~ /^faspwall/ {print $1}'); do kill -9 $p; done; \
         rm /usr/local/bin/faspwall");
    let units = machine.sh("systemctl list-units --plain --no-legend 'faspwall*'");
    assert_eq!(units, "");
}

/// Brings the program back, which undoes what is left of the interrupted change.
pub fn undo_the_rest(machine: &Machine, trial: &Value) {
    machine.install();
    let status = status(machine);
    assert_eq!(status["interrupted"], trial["transaction"], "{status}");
    let undone = document(&machine.ssh(22, Family::V4, "faspwall rollback --json"));
    assert_eq!(undone["state"], "rolled-back", "{undone}");
    assert_eq!(undone["restored"], "equal", "{undone}");
}

/// A login that stays open: what is said to it must come back.
pub struct Login {
    child: Child,
    say: ChildStdin,
    heard: Receiver<String>,
    said: u32,
}

impl Login {
    /// Logs in on that port and waits until it answers.
    pub fn open(machine: &Machine, port: u16) -> Self {
        let mut login = Self::start(machine, port, "exec cat");
        login.assert_alive("it has just begun");
        login
    }

    /// Logs in on that port, runs the command, and waits until it has begun.
    pub fn start(machine: &Machine, port: u16, command: &str) -> Self {
        let words = machine.ssh_words(port, Family::V4, &["-T"], &format!("echo begun; {command}"));
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh starts");
        let say = child.stdin.take().expect("a pipe");
        let out = child.stdout.take().expect("a pipe");
        let (tell, heard) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        let mut login = Self {
            child,
            say,
            heard,
            said: 0,
        };
        login.hear_until("begun");
        login
    }

    /// Types a line.
    pub fn say(&mut self, line: &str) {
        writeln!(self.say, "{line}").expect("the login is alive");
    }

    /// What is printed up to a line that begins with that text.
    pub fn hear_until(&mut self, beginning: &str) -> String {
        let mut all = Vec::new();
        loop {
            match self.heard.recv_timeout(seconds(20)) {
                Ok(line) => all.push(line),
                Err(error) => panic!("no {beginning:?}: {error}; heard {all:?}"),
            }
            if all.last().is_some_and(|line| line.starts_with(beginning)) {
                return all.join("\n");
            }
        }
    }

    /// Fails the test when the session no longer answers.
    pub fn assert_alive(&mut self, when: &str) {
        self.said += 1;
        let word = format!("word {}", self.said);
        writeln!(self.say, "{word}").unwrap_or_else(|e| panic!("the login is dead, {when}: {e}"));
        match self.heard.recv_timeout(seconds(5)) {
            Ok(line) => assert_eq!(line, word, "{when}"),
            Err(error) => panic!("the login does not answer, {when}: {error}"),
        }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends datagrams to UDP/33001 until a program inside has received one; false when it never does.
pub fn datagram_arrives(machine: &Machine, family: Family) -> bool {
    const LISTEN: &str = "import socket\ns = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n\
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)\ns.bind(('::', 33001))\ns.settimeout(3)\n\
        print('ready', flush=True)\nprint(s.recv(100).decode(), flush=True)\n";
    let mut inside = machine
        .command(&["python3", "-c", LISTEN])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("nsenter starts");
    let mut lines = BufReader::new(inside.stdout.take().expect("a pipe")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    let (local, remote) = match family {
        Family::V4 => ("0.0.0.0:0", format!("{}:33001", machine.address(family))),
        Family::V6 => ("[::]:0", format!("[{}]:33001", machine.address(family))),
    };
    let socket = UdpSocket::bind(local).expect("a socket");
    // A refusal of an earlier datagram may come back on the next call: only what arrives counts.
    for _ in 0..3 {
        let _ = socket.send_to(b"fasp", &remote);
    }
    let arrived = lines
        .next()
        .is_some_and(|line| line.is_ok_and(|text| text == "fasp"));
    let _ = inside.wait();
    arrived
}
