//! Two network namespaces with a cable between them: a server and a stranger. Nothing leaves them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

/// Answers on TCP and UDP, each port given, in both families.
const SERVE: &str = "import socket, sys, threading
def tcp(port):
    s = socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    while True:
        c, _ = s.accept()
        c.close()
def udp(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(('::', port))
    while True:
        data, peer = s.recvfrom(100)
        s.sendto(data, peer)
for port in map(int, sys.argv[1:]):
    for kind in (tcp, udp):
        threading.Thread(target=kind, args=(port,), daemon=True).start()
print('ready', flush=True)
sys.stdin.read()
";

/// Asks `family protocol port seconds...` a line, once for each number of seconds; says `open` or `shut`.
const KNOCK: &str = "import socket, sys
def open(family, protocol, port, *patiences):
    address = (('10.97.0.' if family == '4' else 'fd97::') + sys.argv[1], int(port))
    kind = socket.AF_INET if family == '4' else socket.AF_INET6
    for patience in patiences:
        try:
            if protocol == 'tcp':
                with socket.socket(kind, socket.SOCK_STREAM) as s:
                    s.settimeout(patience)
                    s.connect(address)
                    return True
            with socket.socket(kind, socket.SOCK_DGRAM) as s:
                s.settimeout(patience)
                s.connect(address)
                s.send(b'fasp')
                s.recv(100)
                return True
        except OSError:
            pass
    return False
print('ready', flush=True)
for line in sys.stdin:
    family, protocol, port, *patiences = line.split()
    print('open' if open(family, protocol, port, *map(float, patiences)) else 'shut', flush=True)
";

/// A port on the stranger's side that answers.
pub const OUTSIDE: &str = "8081";

/// The two namespaces; gone with the value.
pub struct Net {
    server: Child,
    stranger: Child,
    daemons: [Child; 2],
    from_outside: Knocker,
    from_inside: Knocker,
}

/// Somebody who tries ports of the other side.
struct Knocker {
    child: Child,
    answers: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Knocker {
    fn new(at: &Child, number: &str) -> Self {
        let mut child = python(at, KNOCK, &[number]);
        let mut answers = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert_eq!(answers.next().expect("a line").expect("text"), "ready");
        Self { child, answers }
    }

    fn ask(&mut self, v4: bool, protocol: &str, port: u16, patience: &str) -> bool {
        let family = if v4 { "4" } else { "6" };
        let pipe = self.child.stdin.as_mut().expect("a pipe");
        writeln!(pipe, "{family} {protocol} {port} {patience}").expect("it listens");
        self.answers.next().expect("an answer").expect("text") == "open"
    }
}

fn serve(at: &Child, ports: &[&str]) -> Child {
    let mut daemon = python(at, SERVE, ports);
    let mut line = String::new();
    BufReader::new(daemon.stdout.as_mut().expect("a pipe"))
        .read_line(&mut line)
        .expect("a line");
    assert_eq!(line, "ready\n");
    daemon
}

fn namespace() -> Child {
    let mut child = Command::new("unshare")
        .args(["-n", "sh", "-c", "echo ready; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    let mut line = String::new();
    let out = child.stdout.as_mut().expect("a pipe");
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n", "namespaces need root");
    child
}

fn inside(of: &Child, argv: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &of.id().to_string(), "-n", "--"]).args(argv);
    command
}

fn python(of: &Child, script: &str, args: &[&str]) -> Child {
    let mut argv = vec!["python3", "-c", script];
    argv.extend(args);
    inside(of, &argv)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts")
}

impl Net {
    /// With a daemon on the server that answers on these ports.
    pub fn new(ports: &[&str]) -> Self {
        let (server, stranger) = (namespace(), namespace());
        let far = stranger.id().to_string();
        let cable = "set -e; ip link set lo up; ip link add wan0 type veth peer name far0; ip link set far0 netns FAR; \
             ip address add 10.97.0.1/24 dev wan0; ip address add fd97::1/64 dev wan0 nodad; ip link set wan0 up";
        let end = "ip address add 10.97.0.2/24 dev far0; ip address add fd97::2/64 dev far0 nodad; ip link set far0 up";
        for (of, script) in [(&server, cable), (&stranger, end)] {
            let script = script.replace("FAR", &far);
            assert!(inside(of, &["sh", "-c", &script]).status().expect("sh").success());
        }
        Self {
            daemons: [serve(&server, ports), serve(&stranger, &[OUTSIDE])],
            from_outside: Knocker::new(&stranger, "1"),
            from_inside: Knocker::new(&server, "2"),
            server,
            stranger,
        }
    }

    /// Runs a program on the server, which must succeed; returns what it printed.
    pub fn run(&self, argv: &[&str], input: &str) -> String {
        let mut child = inside(&self.server, argv)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsenter starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        pipe.write_all(input.as_bytes()).expect("it reads its input");
        drop(pipe);
        let output = child.wait_with_output().expect("it ends");
        assert!(
            output.status.success(),
            "{argv:?}: {}\n{input}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// Whether a stranger's packet arrives and is answered. A busy host may be slow: asked twice.
    pub fn open(&mut self, v4: bool, protocol: &str, port: u16) -> bool {
        self.from_outside.ask(v4, protocol, port, "0.2 1.5")
    }

    /// Whether it is not, within a quarter of a second.
    pub fn shut(&mut self, v4: bool, protocol: &str, port: u16) -> bool {
        !self.from_outside.ask(v4, protocol, port, "0.25")
    }

    /// Whether the server reaches [`OUTSIDE`] on the stranger's side.
    pub fn reaches_out(&mut self, v4: bool, protocol: &str) -> bool {
        let port = OUTSIDE.parse().expect("a port");
        self.from_inside.ask(v4, protocol, port, "0.2 1.5")
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let [one, two] = &mut self.daemons;
        for child in [
            one,
            two,
            &mut self.from_outside.child,
            &mut self.from_inside.child,
            &mut self.server,
            &mut self.stranger,
        ] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
