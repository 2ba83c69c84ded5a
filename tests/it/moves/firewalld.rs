//! The whole move on hosts that firewalld guards: the link in a zone of its own, rules of others in it, some of them
//! only until the next reload.

use std::collections::BTreeMap;

use super::{
    Family, Login, Machine, Protocol, Suite, WITH_FALLBACK, apply, assert_open, code, confirm,
    datagram_arrives, document, fingerprint, status, until_over,
};

/// What others have in the zone for good.
const THEIRS: &str = "set -e\n\
    systemctl enable --quiet --now firewalld\n\
    for when in '' --permanent; do\n\
    firewall-cmd -q $when --zone=dmz --change-interface=host0\n\
    firewall-cmd -q $when --zone=dmz --add-port=9418/tcp\n\
    firewall-cmd -q $when --zone=dmz --add-rich-rule='rule family=\"ipv4\" source address=\"192.0.2.0/24\" port port=\"5432\" protocol=\"tcp\" accept'\n\
    done\n\
    sed -i 's|  <forward/>|  <!-- written by hand -->\\n  <forward/>|' /etc/firewalld/zones/dmz.xml\n\
    rm -f /etc/firewalld/zones/*.old\n\
    sleep 6\n";

/// What others say until the next reload.
pub const UNTIL_RELOAD: &str =
    "firewall-cmd -q --zone=dmz --add-rich-rule='rule family=\"ipv4\" source address=\"198.51.100.77\" drop'";

/// A machine that firewalld guards, with the program and its answers.
pub fn guarded(suite: Suite) -> Machine {
    let machine = Machine::boot(suite);
    machine.install();
    machine.sh(THEIRS);
    machine.sh(UNTIL_RELOAD);
    machine.put("/root/answers.toml", WITH_FALLBACK, 0o600);
    machine
}

/// Everything that must be the same again: the kernel's rules, sshd's files, the whole of firewalld's directory, and
/// what the daemon says of both times.
fn all_of(machine: &Machine) -> String {
    let files = machine.sh("cd /etc/firewalld && find . -type f | sort | xargs sha256sum");
    let zones = ["", "--permanent"].map(|when| {
        machine.sh(&format!(
            "for zone in dmz public; do firewall-cmd {when} --zone=$zone --list-all; done"
        ))
    });
    format!("{}{files}{}{}", fingerprint(machine), zones[0], zones[1])
}

fn assert_equal(machine: &Machine, before: &str, when: &str) {
    let start = std::time::Instant::now();
    loop {
        let now = all_of(machine);
        if now == before {
            return;
        }
        if start.elapsed() > super::seconds(15) {
            let diff = similar::TextDiff::from_lines(before, &now);
            panic!("{when}, the host is not as before:\n{}", diff.unified_diff());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// What a scan from outside says of the ports of the plan and of a port that nobody asked for.
fn scan(machine: &Machine) -> BTreeMap<(String, u16), [String; 2]> {
    let mut seen = BTreeMap::new();
    for (protocol, ports) in [
        (Protocol::Tcp, "22,33001,8080,8443,80,443,9418,7"),
        (Protocol::Udp, "33001,7"),
    ] {
        let [v4, v6] = [Family::V4, Family::V6].map(|family| machine.scan(protocol, ports, family));
        for (port, state) in v4 {
            let pair = [state, v6[&port].clone()];
            seen.insert((format!("{protocol:?}").to_lowercase(), port), pair);
        }
    }
    seen
}

fn assert_scan(machine: &Machine, ssh: &[u16], opened: bool, when: &str) {
    let seen = scan(machine);
    let state = |protocol: &str, port: u16| seen[&(protocol.to_owned(), port)].clone();
    let both = |word: &str| [word.to_owned(), word.to_owned()];
    for port in [22, 33001] {
        let wanted = if ssh.contains(&port) { "open" } else { "filtered" };
        assert_eq!(state("tcp", port), both(wanted), "{when}: TCP/{port}; {seen:?}");
    }
    // Nobody listens there: a packet that comes through is answered by the host itself.
    let wanted = if opened { "closed" } else { "filtered" };
    for (protocol, port) in [
        ("tcp", 8080),
        ("tcp", 8443),
        ("tcp", 80),
        ("tcp", 443),
        ("udp", 33001),
    ] {
        assert_eq!(
            state(protocol, port),
            both(wanted),
            "{when}: {protocol}/{port}; {seen:?}"
        );
    }
    assert_eq!(
        state("tcp", 9418),
        both("closed"),
        "{when}: a port of others; {seen:?}"
    );
    assert_eq!(
        state("tcp", 7),
        both("filtered"),
        "{when}: nobody asked for it; {seen:?}"
    );
    assert_eq!(
        state("udp", 7),
        both("filtered"),
        "{when}: nobody asked for it; {seen:?}"
    );
}

/// Rules of others, and the comment that firewall-cmd would have lost.
fn assert_theirs(machine: &Machine, with_runtime: bool) {
    let now = machine.sh("firewall-cmd --zone=dmz --list-all");
    let later =
        machine.sh("firewall-cmd --permanent --zone=dmz --list-all; cat /etc/firewalld/zones/dmz.xml");
    for text in ["9418/tcp", "192.0.2.0/24"] {
        assert!(
            now.contains(text) && later.contains(text),
            "{text}\n{now}\n{later}"
        );
    }
    assert!(later.contains("<!-- written by hand -->"), "{later}");
    assert_eq!(now.contains("198.51.100.77"), with_runtime, "{now}");
    assert!(!later.contains("198.51.100.77"), "made permanent: {later}");
}

/// Reboots it. The machine answers to logins before its firewall is up.
pub fn reboot(machine: &mut Machine) {
    machine.reboot();
    wait_for_daemon(machine);
}

fn whole_way(suite: Suite) {
    let mut machine = guarded(suite);
    let before = all_of(&machine);
    assert_scan(&machine, &[22], false, "before");
    let mut first = Login::open(&machine, 22);

    let trial = apply(&machine, 120);
    assert_scan(&machine, &[22, 33001], true, "in trial 1");
    first.assert_alive("in trial 1");
    for family in [Family::V4, Family::V6] {
        assert!(datagram_arrives(&machine, family), "{family:?}");
        assert!(machine.ssh(33001, family, "true").ok(), "{family:?}");
    }
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    assert_scan(&machine, &[33001], true, "in trial 2");
    first.assert_alive("in trial 2");

    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    let kept = |machine: &Machine, with_runtime: bool, when: &str| {
        assert_scan(machine, &[33001], true, when);
        assert_theirs(machine, with_runtime);
        let status = status(machine);
        assert_eq!(status["applied"], done["transaction"], "{status}");
        assert_eq!(status["drift"], serde_json::json!([]), "{status}");
        let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
        assert_eq!(again["state"], "unchanged", "{again}");
    };
    kept(&machine, true, "after the commit");
    first.assert_alive("after the commit");
    reboot(&mut machine);
    kept(&machine, false, "after the reboot");
    drop(first);

    let mut second = Login::open(&machine, 33001);
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    assert_open(&machine, &[22, 33001]);
    let back = document(&confirm(&machine, 22, &code(&back)));
    assert_open(&machine, &[22]);
    let back = document(&confirm(&machine, 22, &code(&back)));
    assert_eq!(back["state"], "committed", "{back}");
    second.assert_alive("after the way back");
    assert_scan(&machine, &[22], false, "after the way back");
    assert_theirs(&machine, false);
    reboot(&mut machine);
    assert_scan(&machine, &[22], false, "after the way back and a reboot");
    // What was only to live until the next reload is as if it had been before.
    machine.sh(UNTIL_RELOAD);
    let files = |text: &str| {
        let hashes = text
            .lines()
            .filter(|line| line.contains("./") || line.contains("/etc/"));
        hashes.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        files(&all_of(&machine)),
        files(&before),
        "files after the way back"
    );
}

#[test]
fn a_host_of_debian_12_behind_firewalld_moves_and_comes_back() {
    whole_way(Suite::Bookworm);
}

#[test]
fn a_host_of_debian_13_behind_firewalld_moves_and_comes_back() {
    whole_way(Suite::Trixie);
}

fn unconfirmed(suite: Suite) {
    let machine = guarded(suite);
    let before = all_of(&machine);
    let mut first = Login::open(&machine, 22);
    let trial = apply(&machine, 25);
    document(&confirm(&machine, 33001, &code(&trial)));
    assert_open(&machine, &[33001]);
    // Every process of ours but the guard, which is no process before its time.
    machine.sh("pkill -9 -x faspwall || true");
    let status = until_over(&machine, 60);
    assert!(status["applied"].is_null(), "{status}");
    let events = status["events"].to_string();
    assert!(events.contains("the ruleset equals the snapshot"), "{events}");
    assert_equal(&machine, &before, "after the guard's undo");
    first.assert_alive("after the undo");
    assert_scan(&machine, &[22], false, "after the undo");
}

#[test]
fn an_unconfirmed_change_of_firewalld_leaves_nothing_behind() {
    std::thread::scope(|scope| {
        scope.spawn(|| unconfirmed(Suite::Bookworm));
        unconfirmed(Suite::Trixie);
    });
}

#[test]
fn with_everything_of_ours_dead_22_opens_by_itself_and_an_undo_leaves_nothing_in_firewalld() {
    let machine = guarded(Suite::Trixie);
    let before = all_of(&machine);
    let mut first = Login::open(&machine, 22);
    let trial = apply(&machine, 20);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    super::end_all_of_ours(&machine);
    assert_eq!(
        machine.ssh(22, Family::V6, "true").status,
        Some(255),
        "22 is shut in trial 2"
    );
    for family in [Family::V4, Family::V6] {
        super::wait("22 open again", super::seconds(40), || {
            machine.ssh(22, family, "true").ok().then_some(())
        });
    }
    // What was opened at run time is firewalld's own until somebody takes it back or reloads; nobody listens there any more.
    let left = scan(&machine);
    for (port, wanted) in [(22, "open"), (33001, "closed")] {
        assert_eq!(left[&(String::from("tcp"), port)], [wanted; 2], "{left:?}");
    }
    first.assert_alive("when the trial is over");
    super::undo_the_rest(&machine, &trial);
    assert_equal(&machine, &before, "after the undo");
    assert_scan(&machine, &[22], false, "after the undo");
    first.assert_alive("after the undo");
}

/// Applies at the console and keeps it at once.
fn keep(machine: &Machine) {
    let words = "faspwall apply -f /root/answers.toml --no-rehearsal --no-confirm --accept lockout-risk";
    let words: Vec<&str> = words.split(' ').collect();
    let ran = machine.run(&words);
    assert!(ran.ok(), "{ran:?}");
    assert!(ran.stdout.contains("KEPT"), "{ran:?}");
    let again = machine.run(&words);
    assert!(again.stdout.contains("nothing to do"), "{again:?}");
}

/// Its service counts as started a moment before its rules are loaded.
pub fn wait_for_daemon(machine: &Machine) {
    super::wait("firewalld", super::seconds(30), || {
        machine.run(&["firewall-cmd", "--state"]).ok().then_some(())
    });
}

/// The helper sshd of the handover needs its port there: what is turned to it is not let in by itself.
fn with_rules_of_iptables() {
    let machine = Machine::boot(Suite::Bookworm);
    machine.install();
    machine.sh(
        "sed -i 's/^FirewallBackend=.*/FirewallBackend=iptables/' /etc/firewalld/firewalld.conf\n\
         systemctl enable --quiet --now firewalld\n",
    );
    wait_for_daemon(&machine);
    machine.sh(
        "set -e; for when in '' --permanent; do firewall-cmd -q $when --zone=work --change-interface=host0; done",
    );
    machine.put("/root/answers.toml", WITH_FALLBACK, 0o600);
    keep(&machine);
    assert_open(&machine, &[33001]);
    let ports = machine.sh("firewall-cmd --zone=work --list-ports");
    assert!(!ports.contains("61022"), "the helper's port stayed open: {ports}");
}

/// Everyone comes to a zone that drops, the operator's network to one of its own; 22 stays open for two networks.
fn with_networks_in_zones_of_their_own() {
    let machine = Machine::boot(Suite::Trixie);
    machine.install();
    machine.sh("systemctl enable --quiet --now firewalld");
    wait_for_daemon(&machine);
    let address = machine.address(Family::V4);
    let network = address.rsplit_once('.').expect("dots").0;
    machine.sh(&format!(
        "set -e\n\
         for when in '' --permanent; do\n\
         firewall-cmd -q $when --zone=home --add-source={network}.0/24\n\
         firewall-cmd -q $when --zone=drop --change-interface=host0\n\
         firewall-cmd -q $when --zone=drop --add-service=ssh\n\
         done\n"
    ));
    let answers = format!(
        "schema = 1\nrole = \"connect-server\"\n\n[ssh]\nport = 33001\nlegacy_22 = \"restrict\"\n\
         restrict_22_to = [\"{network}.0/24\", \"192.0.2.0/24\"]\n\n[fasp]\nudp = \"33001-33010\"\n"
    );
    machine.put("/root/answers.toml", answers, 0o600);
    keep(&machine);
    let v4 = machine.scan(Protocol::Tcp, "22,33001,7", Family::V4);
    assert_eq!(
        (v4[&22].as_str(), v4[&33001].as_str(), v4[&7].as_str()),
        ("open", "open", "filtered")
    );
    let v6 = machine.scan(Protocol::Tcp, "22,33001,7", Family::V6);
    assert_eq!(
        (v6[&22].as_str(), v6[&33001].as_str(), v6[&7].as_str()),
        ("filtered", "open", "filtered")
    );
    let udp = machine.scan(Protocol::Udp, "33001,33010,33011", Family::V6);
    assert_eq!(
        (udp[&33001].as_str(), udp[&33010].as_str()),
        ("closed", "closed"),
        "{udp:?}"
    );
    assert_ne!(udp[&33011], "closed", "nobody asked for it");
}

#[test]
fn other_shapes_of_firewalld_are_opened_where_packets_really_go() {
    std::thread::scope(|scope| {
        scope.spawn(with_rules_of_iptables);
        with_networks_in_zones_of_their_own();
    });
}

#[test]
fn what_firewalld_is_told_to_refuse_is_named_and_left_alone() {
    let machine = guarded(Suite::Trixie);
    let told = |words: &str| {
        let ran = machine.run(&["faspwall", "apply", "-f", "/root/answers.toml", "--no-rehearsal"]);
        assert!(!ran.ok(), "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    };
    machine.sh("firewall-cmd -q --zone=dmz --add-rich-rule='rule priority=\"-5\" port port=\"8443\" protocol=\"tcp\" reject'");
    told(
        "firewall-cmd --zone=dmz --remove-rich-rule='rule priority=\"-5\" port port=\"8443\" protocol=\"tcp\" reject'",
    );
    machine.sh("firewall-cmd -q --zone=dmz --remove-rich-rule='rule priority=\"-5\" port port=\"8443\" protocol=\"tcp\" reject'");
    machine.sh("firewall-cmd -q --panic-on");
    told("firewall-cmd --panic-off");
    machine.sh("firewall-cmd -q --panic-off");
    machine.sh(
        "set -e\n\
         firewall-cmd -q --permanent --new-policy=gate\n\
         firewall-cmd -q --permanent --policy=gate --add-ingress-zone=ANY --add-egress-zone=HOST || {\n\
         firewall-cmd -q --permanent --policy=gate --add-ingress-zone=ANY\n\
         firewall-cmd -q --permanent --policy=gate --add-egress-zone=HOST; }\n\
         firewall-cmd -q --permanent --policy=gate --add-rich-rule='rule port port=\"33001\" protocol=\"udp\" drop'\n\
         firewall-cmd -q --reload\n",
    );
    let before = all_of(&machine);
    told("the policy gate of firewalld drops what fasp needs");
    assert_eq!(all_of(&machine), before);
    assert_open(&machine, &[22]);
    machine.sh("firewall-cmd -q --permanent --delete-policy=gate && firewall-cmd -q --reload");
    let direct = "ipv4 filter INPUT 0 -p udp --dport 33001 -j DROP";
    machine.sh(&format!("firewall-cmd -q --direct --add-rule {direct}"));
    told("a direct rule of firewalld, or a rule of iptables beside it, drops what fasp needs");
    machine.sh(&format!("firewall-cmd -q --direct --remove-rule {direct}"));
    a_reload_in_a_trial(&machine);
}

/// Somebody else reloads firewalld while a change is on trial: the trial's ports go with it, and nothing else differs.
fn a_reload_in_a_trial(machine: &Machine) {
    let command = "faspwall apply -f /root/answers.toml --no-rehearsal --confirm-within 120s --json";
    document(&machine.ssh(22, Family::V4, command));
    machine.sh("firewall-cmd -q --reload");
    let undone = document(&machine.run(&["faspwall", "rollback", "--json"]));
    assert_eq!(undone["restored"], "equal", "{undone}");
    assert!(
        undone
            .to_string()
            .contains("somebody has loaded inet firewalld anew"),
        "{undone}"
    );
}

/// Both trials of a move, without a rehearsal; returns the code that commits it.
fn trials(machine: &Machine) -> String {
    let command = "faspwall apply -f /root/answers.toml --no-rehearsal --confirm-within 120s --json";
    let trial = document(&machine.ssh(22, Family::V4, command));
    let trial = document(&confirm(machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    code(&trial)
}

#[test]
fn a_call_of_firewalld_that_fails_in_a_commit_leaves_the_host_as_before() {
    let machine = guarded(Suite::Trixie);
    let before = all_of(&machine);
    for pattern in ["*--permanent*--add-port*", "*--zone=public*--add-rich-rule*"] {
        let code = trials(&machine);
        let body = format!("case \"$*\" in {pattern}) echo 'broken on purpose' >&2; exit 1;; esac\n");
        let fault = super::faults::Fault::script(&machine, "/usr/bin/firewall-cmd", &body);
        let ran = confirm(&machine, 33001, &code);
        drop(fault);
        assert_eq!(ran.status, Some(6), "{pattern}: {ran:?}");
        assert!(ran.stderr.contains("restored: equal"), "{pattern}: {ran:?}");
        assert_equal(&machine, &before, pattern);
        assert_open(&machine, &[22]);
    }
}

#[test]
fn a_power_loss_while_firewalld_writes_its_files_leaves_the_host_as_before() {
    let mut machine = guarded(Suite::Bookworm);
    reboot(&mut machine);
    let before = all_of(&machine);
    for pattern in [
        "*--permanent*--add-port*",
        "*--permanent*--zone=public*--add-rich-rule*",
    ] {
        let code = trials(&machine);
        // The call itself is done; the program that made it never hears of it.
        let body = format!(
            "case \"$*\" in {pattern}) {}/firewall-cmd \"$@\"; touch /run/hangs; exec sleep 1000;; esac\n",
            super::faults::REAL
        );
        let fault = super::faults::Fault::script(&machine, "/usr/bin/firewall-cmd", &body);
        let login = Login::start(&machine, 33001, &format!("faspwall confirm {code}"));
        super::wait("firewall-cmd to hang", super::seconds(30), || {
            machine.get("/run/hangs")
        });
        fault.stay();
        machine.power_loss();
        drop(login);
        let disk = machine.root();
        let real = disk
            .join(super::faults::REAL.trim_start_matches('/'))
            .join("firewall-cmd");
        std::fs::rename(real, disk.join("usr/bin/firewall-cmd")).expect("the real program comes back");
        machine.power_on();
        wait_for_daemon(&machine);
        assert_equal(&machine, &before, pattern);
        assert_scan(&machine, &[22], false, pattern);
        assert!(status(&machine)["applied"].is_null());
    }
}
