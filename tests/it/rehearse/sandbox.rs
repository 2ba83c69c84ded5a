//! A server in namespaces of its own: a real sshd, real rules, and a neighbour who asks its ports.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::boxes::{Ran, Suite, seconds, tree, wait};

const PROGRAM: &str = env!("CARGO_BIN_EXE_faspwall");
const SERVER: &str = include_str!("server.py");
const CLIENT: &str = include_str!("client.py");
/// Programs behind these words run on the neighbour's side.
const NEIGHBOUR: [&str; 4] = ["ip", "netns", "exec", "peer"];
/// Addresses that the neighbour bears.
const PEERS: [&str; 9] = [
    "10.9.8.1",
    "198.51.100.9",
    "203.0.113.9",
    "93.184.215.14",
    "151.101.65.140",
    "fd09::1",
    "2001:db8:9::9",
    "2001:db8:feed::9",
    "2a04:4e42::396",
];
/// Builds the server, then stays.
const BUILD: &str = "\
set -e
if [ -n \"$2\" ]; then
  mount -t tmpfs tmpfs /mnt && cd /mnt && mkdir upper work root
  mount -t overlay overlay -o lowerdir=$2,upperdir=upper,workdir=work root
  cp $1 root/usr/bin/faspwall && cd root && mkdir -p old
  mount --rbind /dev dev && mount -t proc proc proc && mount -t sysfs sysfs sys && mount -t tmpfs tmpfs run
  pivot_root . old && umount -l /old && cd /
else
  mount -t tmpfs tmpfs /run
  mkdir -p /run/etc /run/work /run/bin
  mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
  mount -t tmpfs tmpfs /var/lib
fi
mkdir -p /run/sshd
rm -rf /etc/nftables.conf /etc/nftables.d /etc/ssh/sshd_config.d
ip netns add peer
ip link set lo up
ip link add eth0 type veth peer name eth0 netns peer
ip address add 10.9.8.7/24 dev eth0
ip address add fd09::7/64 dev eth0 nodad
ip link set eth0 up
ip route add default via 10.9.8.1 dev eth0
ip route add ::/0 dev eth0
ip -n peer link set eth0 up
ip -n peer link set lo up
for a in 10.9.8.1/24 198.51.100.9/32 203.0.113.9/32 93.184.215.14/32 151.101.65.140/32; do ip -n peer address add $a dev eth0; done
for a in fd09::1/64 2001:db8:9::9/128 2001:db8:feed::9/128 2a04:4e42::396/128; do ip -n peer address add $a dev eth0 nodad; done
ip -n peer route add ::/0 dev eth0
sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
ssh-keygen -q -A
echo '# a plain server' > /etc/ssh/sshd_config
/usr/sbin/sshd
echo ready
exec sleep infinity
";

/// The server; it is gone when this value is.
pub struct Sandbox {
    child: Child,
    pid: u32,
    program: &'static str,
}

impl Sandbox {
    /// A server whose rules are loaded by a shell text; its programs are those of this machine.
    pub fn new(load: &str) -> Self {
        Self::build("", load)
    }

    /// The same with the programs of a Debian.
    pub fn debian(suite: Suite, load: &str) -> Self {
        Self::build(tree(suite).to_str().expect("UTF-8"), load)
    }

    fn build(tree: &str, load: &str) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: sudo bash tests/run"
        );
        let mut child = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--ipc",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args(["bash", "-c", BUILD, "bash", PROGRAM, tree])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = lines.next().and_then(Result::ok);
        assert_eq!(line.as_deref(), Some("ready"), "the server could not be built");
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let pid = std::fs::read_to_string(children).expect("its child");
        let pid = pid.trim().parse().expect("a number");
        let server = Self {
            child,
            pid,
            program: if tree.is_empty() { PROGRAM } else { "faspwall" },
        };
        // The kernel connects cables, and neighbours find each other, in its own time.
        let everybody: Vec<String> = PEERS.iter().map(|peer| format!("tcp/22/{peer}")).collect();
        wait("the cable", seconds(10), || {
            let found = server.ask(&everybody);
            found.iter().all(|verdict| verdict == "accept").then_some(())
        });
        let loaded = server.run(&["bash", "-c", load]);
        assert!(loaded.ok(), "{loaded:?}");
        server
    }

    /// A server with a ruleset of nftables in its boot file.
    pub fn nft(rules: &str) -> Self {
        Self::new(&format!(
            "cat > /etc/nftables.conf <<'RULES'\n{rules}\nRULES\nnft -f /etc/nftables.conf"
        ))
    }

    /// In the server's process namespace nsenter stays as the parent; without it, it becomes the program.
    fn command(&self, inside: &[&str], words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid.to_string(), "--net", "--mount", "--ipc"])
            .args(inside)
            .arg("--")
            .args(words)
            .stdin(Stdio::null());
        command
    }

    /// Runs a program on the server.
    pub fn run(&self, words: &[&str]) -> Ran {
        self.command(&["--pid"], words)
            .output()
            .expect("nsenter starts")
            .into()
    }

    /// Runs faspwall on the server; the answers file is the usual one.
    pub fn faspwall(&self, words: &[&str]) -> Ran {
        let mut all = vec![self.program];
        all.extend(words);
        self.run(&all)
    }

    /// Puts a file there.
    pub fn put(&self, path: &str, text: &str) {
        let ran = self.run(&["sh", "-c", "printf %s \"$2\" > \"$1\"", "sh", path, text]);
        assert!(ran.ok(), "{ran:?}");
    }

    /// Starts the echo on ports such as `udp/33001`.
    pub fn serve(&self, ports: &[String]) -> Child {
        self.serve_at(&[], ports)
    }

    /// The same on the neighbour's side, on ports such as `udp/33001/10.9.8.1`.
    pub fn neighbour_serves(&self, ports: &[String]) -> Child {
        self.serve_at(&NEIGHBOUR, ports)
    }

    fn serve_at(&self, place: &[&str], ports: &[String]) -> Child {
        let mut words = [place, &["python3", "-c", SERVER]].concat();
        words.extend(ports.iter().map(String::as_str));
        let mut child = self
            .command(&[], &words)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("ready"));
        child
    }

    /// What becomes of the neighbour's packets such as `tcp/33001/198.51.100.9`, or `udp/55001/198.51.100.9/224.1.2.3` to a
    /// group.
    pub fn ask(&self, questions: &[String]) -> Vec<String> {
        self.ask_from(&NEIGHBOUR, questions)
    }

    /// What becomes of the server's own packets such as `tcp/33001/10.9.8.7/10.9.8.1`.
    pub fn ask_from_inside(&self, questions: &[String]) -> Vec<String> {
        self.ask_from(&[], questions)
    }

    fn ask_from(&self, place: &[&str], questions: &[String]) -> Vec<String> {
        let mut words = [place, &["python3", "-c", CLIENT]].concat();
        words.extend(questions.iter().map(String::as_str));
        let ran = self.run(&words);
        assert!(ran.ok(), "{ran:?}");
        ran.stdout.lines().map(str::to_owned).collect()
    }

    /// All rules, counters aside.
    pub fn rules(&self) -> String {
        let text = "nft -s list ruleset 2>/dev/null; for s in iptables-legacy-save ip6tables-legacy-save; do $s 2>/dev/null; done | sed 's/\\[.*\\]//; /^#/d'";
        self.run(&["bash", "-c", text]).stdout
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The document of a rehearsal, with its exit status.
pub fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
}
