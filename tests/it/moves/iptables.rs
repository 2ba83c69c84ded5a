//! Hosts whose rules iptables keeps, in either variant, on both releases.

use std::time::Instant;

use super::{
    Family, Login, Machine, Protocol, Suite, WEB, apply, assert_fallback, assert_open, code, confirm,
    datagram_arrives, document, status, until_over, wait,
};
use crate::boxes::{PACKAGES_DIR, seconds};

/// As images of a large cloud come: the policy lets everything in, and the last rule refuses it.
pub const CLOUD_4: &str = "# Generated for this image
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [463:49013]
:InstanceServices - [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp -m udp --sport 123 -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A OUTPUT -d 169.254.0.0/16 -j InstanceServices
-A InstanceServices -d 169.254.0.2/32 -p tcp -m owner --uid-owner 0 -m tcp --dport 3260 -m comment --comment \"See the \\\"Images\\\" section\" -j ACCEPT
-A InstanceServices -d 169.254.0.0/16 -p udp -m udp --dport 67:69 -j ACCEPT
-A InstanceServices -d 169.254.0.0/16 -p tcp -m tcp -j REJECT --reject-with tcp-reset
COMMIT
";

pub const CLOUD_6: &str = "*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p ipv6-icmp -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
";

/// Written by hand: nothing is let in or out but what is named, and most is dropped before it is tracked.
const STRICT: &str = "*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -i lo -j ACCEPT
-A PREROUTING -p tcp -m tcp --dport 22 -j ACCEPT
-A PREROUTING -p tcp -m tcp --dport 33001 -j DROP
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT DROP [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --tcp-flags SYN,RST SYN,RST -j DROP
-A INPUT -p tcp -m tcp --dport 22 -m recent --set --name knock --mask MASK --rsource
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A OUTPUT -o lo -j ACCEPT
-A OUTPUT -p tcp -m tcp --sport 22 -j ACCEPT
ICMP
COMMIT
";

fn strict(v4: bool) -> String {
    let (mask, icmp) = if v4 {
        (
            "255.255.255.255",
            "-A INPUT -p icmp -j ACCEPT\n-A OUTPUT -p icmp -j ACCEPT",
        )
    } else {
        (
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "-A INPUT -p ipv6-icmp -j ACCEPT\n-A OUTPUT -p ipv6-icmp -j ACCEPT",
        )
    };
    STRICT.replace("MASK", mask).replace("ICMP", icmp)
}

/// A server with these rules in force and loaded at boot by netfilter-persistent.
pub fn server(suite: Suite, variant: &str, rules_4: &str, rules_6: &str) -> Machine {
    let machine = Machine::boot(suite);
    machine.install();
    machine.sh(&format!(
        "dpkg --purge ufw 2>&1 && DEBIAN_FRONTEND=noninteractive dpkg -i {PACKAGES_DIR}/*-persistent_*.deb 2>&1; \
         update-alternatives --set iptables /usr/sbin/iptables-{variant}; \
         update-alternatives --set ip6tables /usr/sbin/ip6tables-{variant}"
    ));
    machine.put("/etc/iptables/rules.v4", rules_4, 0o640);
    machine.put("/etc/iptables/rules.v6", rules_6, 0o640);
    machine.ok(&["systemctl", "enable", "--quiet", "netfilter-persistent"]);
    machine.ok(&["systemctl", "restart", "netfilter-persistent"]);
    machine.put("/root/answers.toml", super::WITH_FALLBACK, 0o600);
    machine
}

/// What the tools of all variants print, without counters.
fn saves(machine: &Machine) -> String {
    machine.sh(
        "for save in iptables-nft-save ip6tables-nft-save; do echo \"$save\"; $save; done 2>/dev/null; \
         for family in ip ip6; do \
         if grep -q . /proc/net/${family}_tables_names; then echo $family; ${family}tables-legacy-save; fi; done; true",
    )
    .lines()
    .filter(|line| !line.starts_with('#'))
    .map(|line| line.split(" [").next().unwrap_or(line).to_owned() + "\n")
    .collect()
}

/// What must be the same again after an undo.
fn fingerprint(machine: &Machine) -> String {
    let files = "find /etc/ssh /etc/iptables /etc/nftables.conf /etc/systemd/system -type f 2>/dev/null | sort \
                 | xargs sha256sum";
    let ports = "ss -Hltn | awk '{print $4}' | sort";
    format!(
        "{}{}{}",
        saves(machine),
        machine.sh("nft list tables | sort"),
        machine.sh(&format!("{files}; {ports}"))
    )
}

fn assert_as_before(machine: &Machine, before: &str, when: &str) {
    let equal = || (fingerprint(machine) == before).then_some(());
    let start = Instant::now();
    while equal().is_none() {
        if start.elapsed() > seconds(5) {
            let now = fingerprint(machine);
            let diff = similar::TextDiff::from_lines(before, &now);
            panic!("{when}, the host is not as before:\n{}", diff.unified_diff());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Every line of others is there, in its order.
fn assert_foreign(machine: &Machine, before: &str, when: &str) {
    let ours = |line: &&str| !line.contains("faspwall");
    let now = saves(machine);
    let now: Vec<&str> = now.lines().filter(ours).collect();
    let then: Vec<&str> = before.lines().filter(ours).collect();
    assert_eq!(now, then, "{when}");
}

fn assert_datagrams(machine: &Machine, arrive: bool) {
    for family in [Family::V4, Family::V6] {
        assert_eq!(datagram_arrives(machine, family), arrive, "{family:?}");
    }
}

/// The trial's accepts end by the time of day: they outlast a clock that is set ahead while the old port is shut.
fn assert_hold_for_a_day(machine: &Machine) {
    let saves = saves(machine);
    let ends: Vec<&str> = saves
        .lines()
        .filter_map(|line| line.split("--datestop ").nth(1)?.split(' ').next())
        .collect();
    let soonest = machine.sh("date -u -d '+23 hours 59 minutes' +%FT%T");
    assert!(!ends.is_empty(), "{saves}");
    for end in ends {
        assert!(end > soonest.trim(), "{end} is before {soonest}: {saves}");
    }
}

/// The whole way there and back.
fn moves(machine: &mut Machine) {
    let before = fingerprint(machine);
    let rules = saves(machine);
    let mut first = Login::open(machine, 22);
    assert_open(machine, &[22]);
    assert_fallback(machine, &[], "before");
    assert_datagrams(machine, false);

    let trial = apply(machine, 120);
    assert_open(machine, &[22, 33001]);
    assert_fallback(machine, &WEB, "in trial 1");
    assert_datagrams(machine, true);
    first.assert_alive("in trial 1");
    assert_foreign(machine, &rules, "in trial 1");
    assert_hold_for_a_day(machine);

    let trial = document(&confirm(machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    assert_open(machine, &[33001]);
    assert_fallback(machine, &WEB, "in trial 2");
    first.assert_alive("in trial 2");

    let done = document(&confirm(machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    kept(machine, &rules, &done["transaction"]);
    first.assert_alive("after the commit");
    assert!(!saves(machine).contains(":trial:"), "{}", saves(machine));
    assert!(!saves(machine).contains("--datestop"), "{}", saves(machine));

    machine.reboot();
    kept(machine, &rules, &done["transaction"]);
    drop(first);

    let mut second = Login::open(machine, 33001);
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    assert_eq!(back["trial"], 1, "{back}");
    assert_open(machine, &[22, 33001]);
    let back = document(&confirm(machine, 22, &code(&back)));
    assert_eq!(back["trial"], 2, "{back}");
    assert_open(machine, &[22]);
    let back = document(&confirm(machine, 22, &code(&back)));
    assert_eq!(back["state"], "committed", "{back}");
    assert_open(machine, &[22]);
    assert_fallback(machine, &[], "after the way back");
    assert_datagrams(machine, false);
    // A host that tracks nothing lets no answers of the other port out any more.
    if rules.contains("ESTABLISHED") {
        second.assert_alive("after the way back");
    }
    assert_as_before(machine, &before, "after the way back");
    machine.reboot();
    assert_open(machine, &[22]);
    assert_as_before(machine, &before, "after the way back and a reboot");
}

/// 33001 is open, 22 shut, everything of others is there, and there is nothing left to do.
fn kept(machine: &Machine, rules: &str, transaction: &serde_json::Value) {
    assert_open(machine, &[33001]);
    assert_fallback(machine, &WEB, "when it is kept");
    assert_datagrams(machine, true);
    for family in [Family::V4, Family::V6] {
        assert!(machine.ssh(33001, family, "true").ok(), "{family:?}");
    }
    assert_foreign(machine, rules, "when it is kept");
    let status = status(machine);
    assert_eq!(&status["applied"], transaction, "{status}");
    assert_eq!(status["drift"], serde_json::json!([]), "{status}");
    let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_eq!(again["state"], "unchanged", "{again}");
}

#[test]
fn an_image_with_a_trailing_reject_moves_to_33001_and_back() {
    moves(&mut server(Suite::Bookworm, "nft", CLOUD_4, CLOUD_6));
}

#[test]
fn the_same_with_the_older_tables_of_the_kernel() {
    moves(&mut server(Suite::Trixie, "legacy", CLOUD_4, CLOUD_6));
}

#[test]
fn a_host_that_drops_before_tracking_and_on_its_way_out_moves_to_33001_and_back() {
    moves(&mut server(Suite::Trixie, "nft", &strict(true), &strict(false)));
}

#[test]
fn the_same_strict_host_with_the_older_tables() {
    moves(&mut server(
        Suite::Bookworm,
        "legacy",
        &strict(true),
        &strict(false),
    ));
}

/// Left over from an earlier release: rules of the other variant, which a unit of the operator's loads.
fn add_legacy(machine: &Machine) {
    let rules = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n\
                 -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n\
                 -A INPUT -p ICMP -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n";
    let unit = "[Unit]\nAfter=network.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
                ExecStart=/usr/sbin/iptables-legacy-restore /etc/old/v4\n\
                ExecStart=/usr/sbin/ip6tables-legacy-restore /etc/old/v6\n[Install]\nWantedBy=multi-user.target\n";
    machine.put("/etc/old/v4", rules.replace("ICMP", "icmp"), 0o644);
    machine.put("/etc/old/v6", rules.replace("ICMP", "ipv6-icmp"), 0o644);
    machine.put("/etc/systemd/system/old-rules.service", unit, 0o644);
    machine.ok(&["systemctl", "enable", "--quiet", "--now", "old-rules"]);
}

#[test]
fn both_variants_at_once_are_opened_and_stay_open_over_a_reboot() {
    let mut machine = server(Suite::Bookworm, "nft", CLOUD_4, CLOUD_6);
    add_legacy(&machine);
    moves(&mut machine);
}

#[test]
fn two_networks_keep_22_and_nobody_else() {
    // As fail2ban leaves them, saved with the rest.
    let bans = ":f2b-sshd - [0:0]\n-A INPUT -p tcp -m multiport --dports 22,33001 -j f2b-sshd\n\
                -A f2b-sshd -s 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable\n-A f2b-sshd -j RETURN\n";
    let rules = CLOUD_4.replacen("-A INPUT", &format!("{bans}-A INPUT"), 1);
    let mut machine = server(Suite::Trixie, "nft", &rules, CLOUD_6);
    let ours = format!("10.98.{}.0/24", machine.number());
    let answers = format!(
        "schema = 1\nrole = \"connect-server\"\n[ssh]\nport = 33001\nlegacy_22 = \"restrict\"\n\
         restrict_22_to = [\"{ours}\", \"192.0.2.0/24\"]\n"
    );
    machine.put("/root/answers.toml", answers, 0o600);
    let before = fingerprint(&machine);
    let trial = apply(&machine, 120);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    let restricted = |machine: &Machine, when: &str| {
        for (family, of_22) in [(Family::V4, "open"), (Family::V6, "filtered")] {
            let seen = machine.scan(Protocol::Tcp, "22,33001", family);
            assert_eq!(
                (seen[&22].as_str(), seen[&33001].as_str()),
                (of_22, "open"),
                "{when}"
            );
        }
        let rules = saves(machine);
        assert!(rules.contains("-A faspwall -s 192.0.2.0/24"), "{when}: {rules}");
        let at = |what: &str| {
            rules
                .find(what)
                .unwrap_or_else(|| panic!("{when}: {what}: {rules}"))
        };
        assert!(at(":shut\"") < at("-j f2b-sshd"), "{when}: {rules}");
        assert!(at("-j f2b-sshd") < at(":ssh\" -j ACCEPT"), "{when}: {rules}");
        let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
        assert_eq!(again["state"], "unchanged", "{when}: {again}");
    };
    restricted(&machine, "after the commit");
    machine.reboot();
    restricted(&machine, "after a reboot");
    super::faults::go_back(&machine);
    assert_as_before(&machine, &before, "after the way back");
    assert_open(&machine, &[22]);
}

/// Kills faspwall at one call of a restore program after the other; each time a person undoes what is left.
#[test]
fn killed_at_any_batch_of_rules_the_program_can_be_called_again_to_undo_it() {
    let machine = server(Suite::Bookworm, "nft", CLOUD_4, CLOUD_6);
    let program = "/usr/sbin/iptables-nft-restore";
    machine.ok(&["ln", "-sf", "/usr/sbin/xtables-nft-multi", program]);
    let before = fingerprint(&machine);
    let mut number = 1;
    loop {
        let fault = super::killed::killer(&machine, program, "'--noflush -w 10'", number);
        let ran = super::faults::walk(&machine);
        let met = fault.calls() >= number;
        drop(fault);
        if !met {
            assert!(ran.ok(), "{ran:?}");
            break;
        }
        assert!(!ran.ok(), "call {number}: {ran:?}");
        let left = status(&machine);
        if left["interrupted"].is_string() || left["open"].is_object() {
            let undone = document(&machine.run(&["faspwall", "rollback", "--json"]));
            assert_eq!(undone["restored"], "equal", "call {number}: {undone}");
        } else {
            assert!(left["applied"].is_null(), "call {number}: {left}");
        }
        assert_as_before(&machine, &before, &format!("call {number}"));
        number += 1;
    }
    assert!(number > 4, "only {number} calls were seen");
    super::faults::go_back(&machine);
    assert_as_before(&machine, &before, "after the way back");
}

#[test]
fn a_power_loss_in_the_middle_of_a_commit_leaves_a_host_of_iptables_as_before() {
    let mut machine = server(Suite::Trixie, "nft", CLOUD_4, CLOUD_6);
    machine.reboot();
    let before = fingerprint(&machine);
    for (program, pattern) in [
        ("/usr/bin/systemctl", "reload*"),
        ("/usr/bin/systemctl", "disable*faspwall-recover*"),
    ] {
        super::power::lose_power_in_commit(&mut machine, program, pattern);
        assert_open(&machine, &[22]);
        assert_as_before(&machine, &before, pattern);
        let told = status(&machine);
        assert!(
            told["applied"].is_null() && told["interrupted"].is_null(),
            "{told}"
        );
    }
}

#[test]
fn without_anything_that_loads_rules_at_boot_the_way_there_is_told() {
    let machine = Machine::boot(Suite::Bookworm);
    machine.install();
    machine.feed(&["iptables-nft-restore"], CLOUD_4);
    machine.feed(&["ip6tables-nft-restore"], CLOUD_6);
    machine.put("/root/answers.toml", super::ANSWERS, 0o600);
    let before = saves(&machine);
    let refused = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml");
    assert_eq!(refused.status, Some(9), "{refused:?}");
    assert!(
        refused.stderr.contains("apt-get install iptables-persistent"),
        "{refused:?}"
    );
    assert_eq!(saves(&machine), before);
    assert_open(&machine, &[22]);
}

#[test]
fn an_unconfirmed_trial_2_leaves_the_rules_of_iptables_as_they_were() {
    let machine = server(Suite::Bookworm, "nft", CLOUD_4, CLOUD_6);
    let before = fingerprint(&machine);
    let mut first = Login::open(&machine, 22);
    let trial = apply(&machine, 10);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    let status = until_over(&machine, 30);
    assert!(status["applied"].is_null(), "{status}");
    assert!(
        status["events"]
            .to_string()
            .contains("the ruleset equals the snapshot"),
        "{status}"
    );
    assert_as_before(&machine, &before, "after the undo");
    first.assert_alive("after the undo");
    assert_open(&machine, &[22]);
}

/// The clock of what is shut is the kernel's own: nobody of ours is left to take it out. What was let in stays for a day
/// longer, with nobody behind it, so that a clock that is set ahead cannot shut both ports.
fn everything_dead(suite: Suite, variant: &str) {
    let machine = server(suite, variant, CLOUD_4, CLOUD_6);
    let before = fingerprint(&machine);
    let mut first = Login::open(&machine, 22);
    let trial = apply(&machine, 15);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    let began = Instant::now();
    super::end_all_of_ours(&machine);
    assert_eq!(
        machine.ssh(22, Family::V4, "true").status,
        Some(255),
        "22 is shut in trial 2"
    );
    std::thread::sleep(seconds(15).saturating_sub(began.elapsed()));
    for family in [Family::V4, Family::V6] {
        wait("22 open again", seconds(8), || {
            machine.ssh(22, family, "true").ok().then_some(())
        });
    }
    for family in [Family::V4, Family::V6] {
        let seen = machine.scan(Protocol::Tcp, "22,33001", family);
        assert_eq!(
            (seen[&22].as_str(), seen[&33001].as_str()),
            ("open", "closed"),
            "{family:?}"
        );
    }
    first.assert_alive("when the trial is over");
    super::undo_the_rest(&machine, &trial);
    assert_as_before(&machine, &before, "after the undo");
    first.assert_alive("after the undo");
}

#[test]
fn with_everything_dead_the_kernel_alone_opens_22_again_behind_legacy_rules() {
    everything_dead(Suite::Bookworm, "legacy");
}

#[test]
fn with_everything_dead_the_kernel_alone_opens_22_again_behind_the_nft_variant() {
    everything_dead(Suite::Trixie, "nft");
}

#[test]
fn more_time_is_given_to_the_rules_of_iptables_too() {
    let machine = server(Suite::Bookworm, "nft", CLOUD_4, CLOUD_6);
    let trial = apply(&machine, 12);
    let more = document(&machine.ssh(22, Family::V4, "faspwall extend 60 --json"));
    assert_eq!(more["trial"], 1, "{more}");
    let began = Instant::now();
    while began.elapsed() < seconds(15) {
        assert!(machine.ssh(33001, Family::V4, "sleep 1").ok());
    }
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
}
