//! A machine as the network sees it: logins, scans.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, UdpSocket};
use std::process::Stdio;

use super::machine::Machine;
use super::{Ran, base, host, host_ok, host_run, seconds, wait};

/// Hears every datagram that is delivered until its input ends and half a second is silent; prints the ports.
const EAR: &str = "import select, socket, sys
v4 = sys.argv[1] == '4'
ear = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_UDP)
ear.setsockopt(socket.SOL_SOCKET, 33, 128 << 20)
print('ready', flush=True)
ports, over = set(), False
while True:
    heard = select.select([ear] if over else [ear, sys.stdin], [], [], 0.5 if over else None)[0]
    if ear in heard:
        packet = ear.recv(200)
        udp = (packet[0] & 15) * 4 if v4 else 0
        if packet[udp + 8:] == b'fasp':
            ports.add(int.from_bytes(packet[udp + 2:udp + 4], 'big'))
    elif over:
        break
    else:
        over = True
print(*sorted(ports), flush=True)
";

/// The version of the Internet protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// What a scan sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A SYN: answers are `open`, `closed` (a reset), `filtered` (nothing).
    Tcp,
    /// A datagram: answers are `open`, `closed` (ICMP says so: the port is accepted, nobody listens),
    /// `open|filtered` (nothing).
    Udp,
}

impl Machine {
    /// Its address, after a look that packets to it can only go through its own cable.
    pub fn address(&self, family: Family) -> String {
        let n = self.number();
        let (address, option) = match family {
            Family::V4 => (format!("10.98.{n}.2"), "-4"),
            Family::V6 => (format!("fd98:{n}::2"), "-6"),
        };
        let route = host_ok("ip", &[option, "route", "get", &address]);
        let veth = self.veth();
        assert!(
            route.split_whitespace().any(|word| word == veth),
            "packets to {address} would not go through {veth}: {route}"
        );
        address
    }

    /// The words of an ssh call to that port as root.
    pub fn ssh_words(&self, port: u16, family: Family, options: &[&str], command: &str) -> Vec<String> {
        let key = base::key();
        let mut words: Vec<String> = ["ssh", "-F", "none", "-i"].map(str::to_owned).into();
        words.push(key.to_str().expect("UTF-8").to_owned());
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=4",
            "BatchMode=yes",
        ] {
            words.extend(["-o".to_owned(), option.to_owned()]);
        }
        words.extend(options.iter().map(|&option| option.to_owned()));
        words.extend(["-p".to_owned(), port.to_string()]);
        words.push(format!("root@{}", self.address(family)));
        words.push(command.to_owned());
        words
    }

    /// A real login from outside: runs a command there, with the status of that command, or 255 when no login came
    /// about within four seconds.
    pub fn ssh(&self, port: u16, family: Family, command: &str) -> Ran {
        let words = self.ssh_words(port, family, &["-T"], command);
        host("ssh")
            .args(words.get(1..).unwrap_or_default())
            .output()
            .expect("ssh starts")
            .into()
    }

    /// The same for another user, who must accept the key of the tests.
    pub fn ssh_as(&self, user: &str, port: u16, family: Family, command: &str) -> Ran {
        let option = format!("-oUser={user}");
        let mut words = self.ssh_words(port, family, &["-T", &option], command);
        // A name before the address would count more than the option.
        for word in &mut words {
            if let Some(address) = word.strip_prefix("root@") {
                *word = address.to_owned();
            }
        }
        host("ssh")
            .args(words.get(1..).unwrap_or_default())
            .output()
            .expect("ssh starts")
            .into()
    }

    /// Every TCP port that does not stay silent, of all 65,535.
    pub fn scan_all(&self, family: Family) -> BTreeMap<u16, String> {
        // A second look at what stays silent: a busy host may lose a packet.
        let quick = ["--min-rate", "20000", "--max-retries", "1", "--open"];
        self.nmap("-sS", "1-65535", family, &quick)
    }

    /// Every UDP port of all 65,535 to which a datagram from outside is let in: behind the last rule a raw socket inside
    /// sees what the kernel delivers. No port needs a listener, and no rule is asked.
    pub fn let_in_over_udp(&self, family: Family) -> BTreeSet<u16> {
        let address = self.address(family);
        let (word, own) = match family {
            Family::V4 => ("4", "0.0.0.0:0"),
            Family::V6 => ("6", "[::]:0"),
        };
        let mut ear = self
            .command(&["python3", "-c", EAR, word])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter starts");
        let mut lines = BufReader::new(ear.stdout.take().expect("a pipe")).lines();
        let mut next = || lines.next().expect("a line").expect("text");
        assert_eq!(next(), "ready");
        let socket = UdpSocket::bind(own).expect("a socket");
        let to: IpAddr = address.parse().expect("an address");
        // Twice, with all of the first time in between: a busy host may lose a packet.
        for port in (1..=u16::MAX).chain(1..=u16::MAX) {
            let send = || socket.send_to(b"fasp", (to, port));
            // The refusal of an earlier one may be told now; this one has then not been sent.
            if send().is_err() {
                let _ = send();
            }
        }
        drop(ear.stdin.take());
        let heard = next();
        assert!(ear.wait().expect("it ends").success());
        let port = |word: &str| word.parse().expect("a port");
        heard.split_whitespace().map(port).collect()
    }

    /// What nmap sees from outside: the state of each port, such as `22 -> open`.
    pub fn scan(&self, protocol: Protocol, ports: &str, family: Family) -> BTreeMap<u16, String> {
        let how = match protocol {
            Protocol::Tcp => "-sS",
            Protocol::Udp => "-sU",
        };
        let states = self.nmap(how, ports, family, &["--max-retries", "2"]);
        assert!(!states.is_empty(), "nmap says nothing about {ports}");
        states
    }

    /// What becomes of packets from this address, as a rehearsal says it: `accept` (somebody answers, or the host itself
    /// that nobody listens), `reject` (a firewall answers), `drop`. The address becomes one of this host's end of the cable.
    pub fn verdicts(&self, protocol: Protocol, ports: &BTreeSet<u16>, from: &str) -> BTreeMap<u16, String> {
        let (family, length) = match from.contains(':') {
            true => (Family::V6, 128),
            false => (Family::V4, 32),
        };
        let veth = self.veth();
        let address = format!("{from}/{length}");
        let mut words = vec!["address", "replace", &address, "dev", &veth];
        let own = self.address(family).trim_end_matches('2').to_owned() + "1";
        if from != own {
            if family == Family::V6 {
                words.push("nodad");
            }
            host_ok("ip", &words);
            self.sh(&format!("ip route replace {address} dev host0"));
        }
        let how = match protocol {
            Protocol::Tcp => "-sS",
            Protocol::Udp => "-sU",
        };
        let list: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let options = ["--max-retries", "2", "--reason", "-S", from];
        let lines = self.lines_of_nmap(how, &list.join(","), family, &options);
        let verdicts: BTreeMap<u16, String> = lines
            .into_iter()
            .filter_map(|(port, words)| {
                let state = words.first()?.as_str();
                let silent = words.iter().any(|word| word == "no-response");
                let verdict = match state {
                    "open" | "closed" => "accept",
                    _ if silent => "drop",
                    _ => "reject",
                };
                Some((port, verdict.to_owned()))
            })
            .collect();
        assert_eq!(verdicts.len(), ports.len(), "nmap from {from}: {verdicts:?}");
        verdicts
    }

    fn nmap(&self, how: &str, ports: &str, family: Family, options: &[&str]) -> BTreeMap<u16, String> {
        let lines = self.lines_of_nmap(how, ports, family, options).into_iter();
        lines
            .filter_map(|(port, words)| Some((port, words.into_iter().next()?)))
            .collect()
    }

    /// The words behind each port.
    fn lines_of_nmap(
        &self,
        how: &str,
        ports: &str,
        family: Family,
        options: &[&str],
    ) -> Vec<(u16, Vec<String>)> {
        let address = self.address(family);
        let veth = self.veth();
        // The cable has no length: what does not answer within a fraction of a second never will.
        let quick = ["--initial-rtt-timeout", "200ms", "--max-rtt-timeout", "300ms"];
        let mut args = vec!["-n", "-Pn", "--host-timeout", "60s", how, "-e", &veth];
        args.extend(quick);
        args.extend(["-p", ports]);
        args.extend(options);
        if family == Family::V6 {
            args.push("-6");
        }
        args.push(&address);
        // It reads the list of all interfaces, which may be torn while another machine's cable comes or goes.
        let printed = wait("nmap to find its interface", seconds(10), || {
            let ran = host_run("nmap", &args);
            let torn = ran.stderr.contains("does it even exist") || ran.stdout.contains("does it even exist");
            assert!(ran.ok() || torn, "nmap {}: {ran:?}", args.join(" "));
            ran.ok().then_some(ran.stdout)
        });
        printed
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let port = words.next()?.split_once('/')?.0.parse().ok()?;
                Some((port, words.map(str::to_owned).collect()))
            })
            .collect()
    }
}
