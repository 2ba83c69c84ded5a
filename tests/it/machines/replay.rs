//! What is found on recorded hosts, planned for them, and refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use faspwall::answers::Answers;
use faspwall::catalogue::Catalogue;
use faspwall::engine::Engine;
use faspwall::engine::detect::detect;
use faspwall::facts::Facts;
use faspwall::system::System;
use faspwall::system::real::RealSystem;
use faspwall::system::replay::Replay;

use super::{Script, folder, scripts};

/// A recorded host.
pub fn open(dir: &Path) -> Replay {
    static DESK: RealSystem = RealSystem;
    Replay::open(&DESK, dir).unwrap_or_else(|e| panic!("{e}"))
}

fn all() -> Vec<(Script, std::path::PathBuf)> {
    let recordings = |script: Script| {
        let dirs = script.recordings();
        dirs.into_iter().map(move |(dir, _)| (script.clone(), dir))
    };
    scripts().into_iter().flat_map(recordings).collect()
}

fn facts_of(dir: &Path) -> Facts {
    detect(&open(dir), &mut |_| {})
}

/// What is wrong with the owner that was found.
fn mistakes(script: &Script, facts: &Facts) -> Vec<String> {
    let mut wrong = Vec::new();
    let found = facts.backend.map(|id| id.to_string());
    if found != script.owner {
        wrong.push(format!(
            "owner {found:?}, not {:?}; {}",
            script.owner,
            facts.refusal.as_deref().unwrap_or("no refusal")
        ));
    }
    let also: Vec<String> = facts.also.iter().map(ToString::to_string).collect();
    if script.owner.is_some() && also != script.also {
        wrong.push(format!("also {also:?}, not {:?}", script.also));
    }
    if let Some(word) = &script.refuses {
        let refusal = facts.refusal.as_deref().unwrap_or_default();
        if !refusal.contains(word) {
            wrong.push(format!("no word of {word} in the refusal {refusal:?}"));
        }
    }
    if let Some(default) = &script.default
        && facts.inbound_default.to_string() != *default
    {
        wrong.push(format!(
            "a packet nobody names: {}, not {default}",
            facts.inbound_default
        ));
    }
    wrong
}

#[test]
fn the_owner_of_every_recorded_host_is_found() {
    let mut wrong = Vec::new();
    for (script, dir) in all() {
        for mistake in mistakes(&script, &facts_of(&dir)) {
            wrong.push(format!(
                "{}: {mistake}",
                dir.file_name().expect("a name").display()
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A recording that lacks answers is older than the program: it says nothing about what the program finds today.
#[test]
fn every_question_has_its_answer_in_every_recording() {
    let mut stale = Vec::new();
    for (_, dir) in all() {
        let replay = open(&dir);
        drop(detect(&replay, &mut |_| {}));
        let questions = replay.unanswered();
        if !questions.is_empty() {
            stale.push(format!("{}: {}", dir.display(), questions.join("; ")));
        }
    }
    assert!(
        stale.is_empty(),
        "record anew with cargo nextest run --run-ignored only machines::record\n{}",
        stale.join("\n")
    );
}

#[test]
fn every_role_can_be_planned_for_on_every_recorded_host() {
    let catalogue = Catalogue::builtin();
    for (_, dir) in all() {
        let replay = open(&dir);
        let engine = Engine::new(&replay, replay.state_dir().to_owned());
        let facts = detect(&replay, &mut |_| {});
        for role in &catalogue.roles {
            let answers = Answers::for_role(role);
            let preview = engine
                .prepare(catalogue, &answers, &facts, 120)
                .unwrap_or_else(|e| panic!("{}, {}: {e}", dir.display(), role.id));
            assert_eq!(
                preview.change.is_none() && preview.obstacles.is_empty() && preview.rules.is_empty(),
                preview.plan.requirements.is_empty(),
                "{}, {}: neither a change nor a reason",
                dir.display(),
                role.id
            );
        }
    }
}

#[test]
fn recordings_are_small_and_hold_no_secrets() {
    let mut size = 0;
    let mut folders = vec![folder()];
    while let Some(dir) = folders.pop() {
        for entry in fs::read_dir(dir).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = fs::read(entry.path()).expect("readable");
            size += text.len();
            let text = String::from_utf8_lossy(&text);
            for secret in ["PRIVATE KEY", "ssh-ed25519 AAAA", "ssh-rsa AAAA", "$6$", "$y$"] {
                assert!(!text.contains(secret), "{secret} in {}", entry.path().display());
            }
        }
    }
    assert!(size < 3_000_000, "{size} bytes");
}

#[test]
fn nothing_can_be_changed_on_a_recorded_host() {
    let replay = Arc::new(open(&folder().join("nftables-12")));
    let path = Path::new("/etc/nftables.conf");
    let results = [
        replay.replace(path, b"x", 0o644),
        replay.append(path, b"x"),
        replay.remove(path),
        replay.remove_dir(path),
        replay.make_dir(path, 0o755),
        replay.lock(path).map(drop),
        replay.signal(1, faspwall::step::Signal::Hup),
    ];
    for result in results {
        let error = result.expect_err("refused").to_string();
        assert!(error.contains("recorded host"), "{error}");
    }
    assert_eq!(replay.unanswered(), [""; 0]);
    let call = faspwall::step::Invocation::new(faspwall::step::Tool::Nft, ["flush", "ruleset"]);
    let error = replay.run(&call).expect_err("not recorded").to_string();
    assert!(error.contains("nft flush ruleset was not run"), "{error}");
    assert_eq!(replay.unanswered(), ["nft flush ruleset"]);
}

/// The usual move on a recorded host, as `faspwall -v plan` prints it.
fn planned(name: &str) -> String {
    planned_with(name, "")
}

/// The same with more answers.
fn planned_with(name: &str, more: &str) -> String {
    plan(name, more, &["-v"])
}

fn plan(name: &str, more: &str, options: &[&str]) -> String {
    let answers = tempfile::NamedTempFile::new().expect("a file");
    let text = format!(
        "schema = 1\nrole = \"connect-server\"\naccept = [\"FW005\"]\n\n[http_fallback]\nhttps = 8443\n{more}"
    );
    fs::write(answers.path(), text).expect("written");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_faspwall"))
        .arg("--machine")
        .arg(folder().join(name))
        .args(options)
        .args(["plan", "-f"])
        .arg(answers.path())
        .output()
        .expect("faspwall starts");
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}{}{}",
        part(&output.stdout),
        part(&output.stderr),
        output.status
    )
}

/// A recording that is made anew is of another second, of another machine, and of other processes.
fn without_what_passes() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b\d{8}-\d{6}\b", "[transaction]");
    settings.add_filter(r"\b10\.98\.\d+\.", "10.98.N.");
    settings.add_filter(r"\bfd98:\d+:", "fd98:N:");
    settings.add_filter(r"\(pid \d+\)", "(pid N)");
    settings
}

#[test]
fn the_plan_for_a_few_hosts_is_as_it_was() {
    without_what_passes().bind(|| {
        for name in [
            "nftables-12",
            "iptables-nft-12",
            "legacy-and-nft-12",
            "ufw-deny-13",
            "firewalld-zones-12",
            "csf-12",
        ] {
            insta::assert_snapshot!(name, planned(name));
        }
    });
}

/// The account, the advice, and the title of each step; or all of a refusal.
fn without_what_is_written(told: &str) -> String {
    let (account, steps) = told.split_at(told.find("-- check --").unwrap_or(told.len()));
    let titles = steps.lines().filter(|line| !line.starts_with("       "));
    account.to_owned() + &titles.map(|line| line.to_owned() + "\n").collect::<String>()
}

/// Hosts on which somebody else has a hand in the rules: a cloud, a container engine, virtual machines, a generator.
#[test]
fn the_plan_or_the_refusal_for_a_host_that_is_not_alone_is_as_it_was() {
    without_what_passes().bind(|| {
        for name in [
            "oci-firewalld-12",
            "docker-nftables-13",
            "libvirt-iptables-12",
            "libvirt-nftables-13",
            "debian-cloud-13",
            "openwrt-12",
            "proxmox-iptables-12",
            "proxmox-nftables-13",
            "ufw-without-modules-12",
        ] {
            let told = plan(name, "", &[]);
            insta::assert_snapshot!(name, without_what_is_written(&told));
        }
    });
}

/// The rules that were recorded, in a sealed copy with real packets: each plan keeps what it promises, or is not safe.
#[test]
fn a_recorded_host_can_be_rehearsed() {
    let answers = tempfile::NamedTempFile::new().expect("a file");
    let text = "schema = 1\nrole = \"connect-server\"\naccept = [\"FW005\"]\n";
    fs::write(answers.path(), text).expect("written");
    let verdict = |name: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_faspwall"))
            .arg("--machine")
            .arg(folder().join(name))
            .args(["rehearse", "--json", "-f"])
            .arg(answers.path())
            .output()
            .expect("faspwall starts");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        let value: serde_json::Value =
            serde_json::from_str(&told).unwrap_or_else(|e| panic!("{name}: {e}: {told}{complaint}"));
        value["ok"].as_bool().unwrap_or_else(|| panic!("{name}: {told}"))
    };
    for name in [
        "nftables-strict-13",
        "docker-nftables-13",
        "kube-iptables-12",
        "iptables-legacy-12",
        "ufw-deny-13",
    ] {
        assert!(verdict(name), "{name}");
    }
}

/// A drop that nobody has loaded since, but that the next boot loads.
#[test]
fn what_the_next_boot_shuts_on_a_recorded_host_is_named() {
    let answers = tempfile::NamedTempFile::new().expect("a file");
    fs::write(answers.path(), "schema = 1\nrole = \"connect-server\"\n").expect("written");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_faspwall"))
        .arg("--machine")
        .arg(folder().join("nftables-flushed-12"))
        .args(["rehearse", "--json", "-f"])
        .arg(answers.path())
        .output()
        .expect("faspwall starts");
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
    let ssh = |cell: &&serde_json::Value| cell["id"] == "ssh";
    let cells: Vec<&serde_json::Value> = told["cells"]
        .as_array()
        .expect("cells")
        .iter()
        .filter(ssh)
        .collect();
    assert!(!cells.is_empty(), "{told:#}");
    for cell in cells {
        assert_eq!(
            (&cell["after"], &cell["boot"]),
            (&"accept".into(), &"drop".into()),
            "{cell}"
        );
        assert_eq!(cell["ok"], false, "{cell}");
    }
    let blocker = &told["blockers"][0];
    assert_eq!(blocker["rule"], "policy drop", "{told:#}");
    let hint = blocker["hint"].as_str().expect("text");
    assert!(hint.ends_with("nft -f /etc/nftables.conf"), "{hint}");
}

#[test]
fn what_a_boot_file_does_not_know_cannot_be_kept_there() {
    let told = planned("nftables-not-at-boot-12");
    for part in [
        "FW009: table ip filter is in force",
        "add it there: nft -s list table ip filter >> /etc/nftables.conf",
        "exit status: 9",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_default_deny_set_where_the_host_refuses_by_itself_is_said_to_add_nothing() {
    for name in ["nftables-12", "ufw-deny-13", "firewalld-zones-12"] {
        let told = planned_with(name, "\n[firewall]\ndefault_deny = true\n");
        let line = told
            .lines()
            .find(|line| line.contains("all others"))
            .unwrap_or_default();
        for part in ["closed already", "default_deny adds nothing here"] {
            assert!(line.contains(part), "{name}: {part}: {told}");
        }
        assert!(!planned(name).contains("all others"), "{name}");
    }
}
