//! How long reading a ruleset and finding the chains for a rule takes, beside what `nft` itself needs to print it. The
//! rulesets are loaded into a real kernel (in a network namespace of their own) and printed by the real nft.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench prepares its own input"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use faspwall::backend::nftables::{Ruleset, inspect, render::place};
use faspwall::plan::Requirement;
use faspwall::port::{Direction, PortRange, Protocol};

/// `nft -j list ruleset` of a host with that many rules, and how long nft took.
fn ruleset(rules: u32) -> (String, u128) {
    let mut text = String::from(
        "table inet filter {\n chain input {\n type filter hook input priority 0; policy drop;\n ct state established,related accept\n",
    );
    for n in 0..rules {
        let _ = writeln!(
            text,
            " ip saddr 10.{}.{}.{} tcp dport {} accept",
            n >> 16 & 255,
            n >> 8 & 255,
            n & 255,
            1024 + n % 60000
        );
    }
    text.push_str(" }\n}\n");
    let script = "nft -f - && date +%s%N >&2 && nft -j list ruleset && date +%s%N >&2";
    let mut child = Command::new("unshare")
        .args(["--net", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare of util-linux, as root");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(text.as_bytes())
        .expect("fed");
    let output = child.wait_with_output().expect("ended");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let times: Vec<u128> = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter_map(|l| l.parse().ok())
        .collect();
    let took = times
        .last()
        .copied()
        .unwrap_or(0)
        .saturating_sub(times.first().copied().unwrap_or(0));
    (String::from_utf8_lossy(&output.stdout).into_owned(), took / 1000)
}

fn wanted() -> Vec<Requirement> {
    let port = PortRange::single(33001).expect("a port");
    let one = |id: &str, protocol| Requirement {
        id: id.into(),
        direction: Direction::In,
        protocol,
        ports: port,
        peers: Vec::new(),
        group: None,
        why: String::new(),
        source: String::new(),
    };
    vec![one("ssh", Protocol::Tcp), one("fasp", Protocol::Udp)]
}

fn bench(c: &mut Criterion) {
    for rules in [100, 1_000, 10_000] {
        let (json, nft_us) = ruleset(rules);
        let start = Instant::now();
        let read = Ruleset::parse(&json).expect("read");
        let placed = place(&read.without_ours(), &wanted());
        println!(
            "{rules} rules: nft prints them in {nft_us} us; read and placed {} rules in {} us",
            placed.len(),
            start.elapsed().as_micros()
        );
        c.bench_function(&format!("inspect {rules} rules"), |b| b.iter(|| inspect(&json)));
        c.bench_function(&format!("place 2 rules among {rules}"), |b| {
            b.iter(|| place(&read, &wanted()))
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_secs(1));
    targets = bench
}
criterion_main!(benches);
