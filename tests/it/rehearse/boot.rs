//! The next boot: what is loaded then from files that nobody has loaded yet is found before the change is made, and is
//! what a neighbour finds when the change is made all the same and the host starts anew.

use serde_json::Value;

use super::sandbox::{Sandbox, document};
use super::truth::{ANSWERS, USUAL, input, table};
use crate::boxes::Suite;

/// All rules go, as they do when a kernel starts.
const EMPTY: &str = "nft flush ruleset; for f in ip ip6; do for t in $(cat /proc/net/${f}_tables_names); do\n\
    ${f}tables-legacy -t $t -F; ${f}tables-legacy -t $t -X; done; done\n";

/// Boots the firewall of a server: empty, and loaded as its unit does it.
fn boot(server: &Sandbox, load: &str) {
    let ran = server.run(&["bash", "-ec", &format!("{EMPTY}{load}")]);
    assert!(ran.ok(), "{ran:?}");
}

fn cells(told: &Value) -> Vec<Value> {
    let cells = told["cells"].as_array().expect("cells");
    let asked = cells
        .iter()
        .filter(|cell| cell["direction"] == "in" && !cell["boot"].is_null());
    asked.cloned().collect()
}

/// Fails unless a neighbour finds what the rehearsal says of the next boot.
fn assert_found(server: &Sandbox, told: &Value) {
    let cells = cells(told);
    assert!(!cells.is_empty(), "{told:#}");
    let port = |cell: &Value| format!("{}/{}", cell["protocol"].as_str().expect("text"), cell["port"]);
    let mut ports: Vec<String> = cells.iter().map(port).collect();
    ports.sort();
    ports.dedup();
    let questions: Vec<String> = cells
        .iter()
        .map(|cell| format!("{}/{}", port(cell), cell["from"].as_str().expect("an address")))
        .collect();
    let mut echo = server.serve(&ports);
    for (cell, found) in cells.iter().zip(server.ask(&questions)) {
        assert_eq!(cell["boot"], found.as_str(), "{cell}");
    }
    echo.kill().expect("it ran");
    echo.wait().expect("it ended");
}

/// The change is refused, for what the next boot loads; the blocker has these texts. Made all the same, it does what the
/// rehearsal says.
fn is_shut_at_boot(server: &Sandbox, load: &str, texts: &[&str]) {
    server.put("/root.toml", ANSWERS);
    let rules = server.rules();
    let told = document(&server.faspwall(&["rehearse", "-f", "/root.toml", "--json"]));
    assert_eq!(told["ok"], false, "{told:#}");
    for cell in told["cells"].as_array().expect("cells") {
        let now = cell["wanted"]
            .as_bool()
            .map(|open| if open { "accept" } else { "drop" });
        assert!(now.is_none_or(|verdict| cell["after"] == verdict), "{cell}");
    }
    let blockers = told["blockers"].as_array().expect("blockers");
    let named = |blocker: &&Value| texts.iter().all(|text| blocker.to_string().contains(text));
    let blocker = blockers
        .iter()
        .find(named)
        .unwrap_or_else(|| panic!("{blockers:#?}"));
    assert!(
        blocker["layer"].as_str().expect("text").contains("the next boot"),
        "{blocker}"
    );
    let refused = server.faspwall(&["apply", "-f", "/root.toml", "--no-confirm"]);
    assert_eq!(refused.status, Some(9), "{refused:?}");
    assert!(refused.stdout.contains("after a reboot"), "{refused:?}");
    assert_eq!(server.rules(), rules, "a refused apply changes nothing");
    let made = server.faspwall(&["apply", "-f", "/root.toml", "--no-confirm", "--no-rehearsal"]);
    assert!(made.ok(), "{made:?}");
    boot(server, load);
    assert_found(server, &told);
}

/// The change is made, and the next boot opens and shuts the same ports.
fn is_open_at_boot(server: &Sandbox, load: &str) {
    server.put("/root.toml", ANSWERS);
    let told = document(&server.faspwall(&["rehearse", "-f", "/root.toml", "--json"]));
    assert_eq!(told["ok"], true, "{told:#}");
    for cell in told["cells"].as_array().expect("cells") {
        let wanted = cell["wanted"]
            .as_bool()
            .map(|open| if open { "accept" } else { "drop" });
        assert_eq!(cell["boot"].as_str(), wanted, "{cell}");
    }
    let made = server.faspwall(&["apply", "-f", "/root.toml", "--no-confirm", "--no-rehearsal"]);
    assert!(made.ok(), "{made:?}");
    boot(server, load);
    assert_found(server, &told);
}

const NFT: &str = "nft -f /etc/nftables.conf";
/// A drop that nobody loads before the next boot.
const EARLY: &str = "chain early {\ntype filter hook prerouting priority raw; policy accept;\n\
                     th dport 33001 counter drop\n}\n";

fn edited(rules: &str) -> Sandbox {
    let server = Sandbox::nft(&table(&input("drop", USUAL)));
    server.put("/etc/nftables.conf", &format!("flush ruleset\n{}", table(rules)));
    server
}

#[test]
fn a_file_of_nftables_that_was_edited_and_not_loaded() {
    let server = edited(&(input("drop", USUAL) + EARLY));
    let texts = [
        "TCP/33001",
        "raw prerouting",
        "th dport 33001",
        "/etc/nftables.conf",
        NFT,
    ];
    is_shut_at_boot(&server, NFT, &texts);
}

#[test]
fn once_it_is_loaded_the_move_works_and_outlives_a_boot() {
    let server = edited(&(input("drop", USUAL) + EARLY));
    boot(&server, NFT);
    is_open_at_boot(&server, NFT);
}

#[test]
fn rules_of_nftables_that_were_flushed_come_back() {
    let server = Sandbox::nft(&table(&input("drop", USUAL)));
    boot(&server, "");
    is_shut_at_boot(
        &server,
        NFT,
        &["UDP/33001", "chain inet filter input", "policy drop", NFT],
    );
}

const IPTABLES: &str =
    "for f in 4 6; do p=iptables; [ $f = 6 ] && p=ip6tables; $p-restore < /etc/iptables/rules.v$f; done";

fn iptables(variant: &str) -> Sandbox {
    Sandbox::debian(Suite::Bookworm, &super::truth::iptables(variant))
}

#[test]
fn a_policy_of_ipv6_that_waits_in_its_file() {
    let server = iptables("nft");
    let ran = server.run(&[
        "bash",
        "-ec",
        "ip6tables -F INPUT; ip6tables -t raw -F; sed -i 's/:INPUT ACCEPT/:INPUT DROP/; /-j services/d' /etc/iptables/rules.v6",
    ]);
    assert!(ran.ok(), "{ran:?}");
    let texts = [
        "TCP/33001",
        "policy drop",
        "/etc/iptables/rules.v6",
        "ip6tables-restore",
    ];
    is_shut_at_boot(&server, IPTABLES, &texts);
}

#[test]
fn a_raw_table_of_the_old_iptables_that_waits_in_its_file() {
    let server = iptables("legacy");
    let add =
        "sed -i '/^:PREROUTING/a -A PREROUTING -p tcp -m tcp --dport 33001 -j DROP' /etc/iptables/rules.v4";
    let ran = server.run(&["bash", "-ec", add]);
    assert!(ran.ok(), "{ran:?}");
    let texts = [
        "TCP/33001",
        "old iptables, table raw",
        "--dport 33001",
        "/etc/iptables/rules.v4",
    ];
    is_shut_at_boot(&server, IPTABLES, &texts);
}

#[test]
fn iptables_of_both_variants_outlives_a_boot() {
    for variant in ["nft", "legacy"] {
        is_open_at_boot(&iptables(variant), IPTABLES);
    }
}

const UFW: &str = "/lib/ufw/ufw-init start";
const WITH_UFW: &str =
    "ufw --force default deny incoming; ufw allow 22/tcp; ufw allow 8080/tcp; ufw --force enable";

#[test]
fn a_rule_of_ufw_that_waits_in_before_rules() {
    let server = Sandbox::debian(Suite::Bookworm, WITH_UFW);
    let ran = server.run(&[
        "sed",
        "-i",
        "/^# allow MULTICAST mDNS/i -A ufw-before-input -p tcp --dport 33001 -j DROP",
        "/etc/ufw/before.rules",
    ]);
    assert!(ran.ok(), "{ran:?}");
    let texts = [
        "TCP/33001",
        "ufw-before-input",
        "--dport 33001 -j DROP",
        "ufw reload",
    ];
    is_shut_at_boot(&server, UFW, &texts);
}

#[test]
fn ufw_outlives_a_boot() {
    is_open_at_boot(&Sandbox::debian(Suite::Trixie, WITH_UFW), UFW);
}

const DAEMON: &str =
    "firewalld --nopid\nfor i in $(seq 300); do firewall-cmd --state && break; sleep 0.1; done\n";
const ANEW: &str = "kill $(cat /run/firewalld.pid); while firewall-cmd --state; do sleep 0.1; done\n";

fn with_firewalld() -> Sandbox {
    let load = format!(
        "mkdir -p /run/dbus; dbus-daemon --system --fork\nfirewall-offline-cmd --add-port=8080/tcp\n{}",
        DAEMON.replace("--nopid", "")
    );
    Sandbox::debian(Suite::Trixie, &load)
}

/// The change is refused with these words, and nothing is changed.
fn is_refused(server: &Sandbox, texts: &[&str]) {
    server.put("/root.toml", ANSWERS);
    let rules = server.rules();
    let refused = server.faspwall(&["apply", "-f", "/root.toml", "--no-confirm"]);
    assert_eq!(refused.status, Some(9), "{refused:?}");
    assert_eq!(server.rules(), rules, "a refused apply changes nothing");
    let told = format!("{}{}", refused.stdout, refused.stderr);
    assert!(texts.iter().all(|text| told.contains(text)), "{texts:?}: {told}");
}

#[test]
fn files_of_firewalld_that_nobody_has_loaded() {
    let server = with_firewalld();
    let run = |text: &str| {
        let ran = server.run(&["bash", "-ec", text]);
        assert!(ran.ok(), "{ran:?}");
    };
    run(
        "mkdir -p /etc/firewalld/policies; cat > /etc/firewalld/policies/edge.xml <<'END'\n\
         <policy priority=\"-5\" target=\"CONTINUE\"><ingress-zone name=\"ANY\"/><egress-zone name=\"HOST\"/>\n\
         <rule><port port=\"33001\" protocol=\"tcp\"/><drop/></rule></policy>\nEND",
    );
    is_refused(&server, &["ssh", "TCP/33001", "FAILED"]);
    run("rm /etc/firewalld/policies/edge.xml\n\
         firewall-offline-cmd --add-rich-rule='rule port port=33001 protocol=tcp reject'");
    is_refused(&server, &["33001", "--permanent"]);
}

#[test]
fn firewalld_outlives_a_boot() {
    let load = format!("{ANEW}{}", DAEMON.replace("--nopid", ""));
    is_open_at_boot(&with_firewalld(), &load);
}
