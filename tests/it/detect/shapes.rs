//! Shapes of rulesets that programs make by themselves, loaded as real rules: none of them may be mistaken for another.

use faspwall::facts::{BackendId, Facts, Unmanaged};

use super::{facts, machine};
use crate::boxes::{Machine, Suite};

/// A filter somebody wrote by hand, below which the programs of containers and guests put theirs.
const NATIVE: &str = "table inet filter { chain input { type filter hook input priority 0; policy drop; \
                      ct state established accept; iif lo accept; tcp dport 22 accept; }; }\n";

fn loaded(machine: &Machine, native: bool, commands: &str) -> Facts {
    machine.sh("nft flush ruleset");
    if native {
        machine.feed(&["nft", "-f", "-"], NATIVE);
    }
    machine.sh(commands);
    facts(machine)
}

fn owned_by(facts: &Facts, owner: BackendId, what: &str) {
    let drops: Vec<_> = facts
        .chains
        .iter()
        .filter(|chain| chain.drops.is_some())
        .collect();
    assert_eq!(
        (facts.backend, &facts.refusal),
        (Some(owner), &None),
        "{what}: {drops:?}"
    );
    assert!(facts.also.is_empty(), "{what}: {:?} {drops:?}", facts.also);
}

fn left_alone(facts: &Facts, which: &Unmanaged) {
    assert_eq!(facts.backend, None, "{which:?}");
    assert_eq!(facts.unmanaged, std::slice::from_ref(which));
    assert!(
        facts
            .refusal
            .as_deref()
            .is_some_and(|text| text.contains("Nothing was changed"))
    );
}

#[test]
fn programs_that_keep_guests_and_bans_own_nothing() {
    let machine = machine(Suite::Bookworm);
    let docker = "iptables-nft -P FORWARD DROP; for c in DOCKER DOCKER-USER DOCKER-FORWARD DOCKER-CT; do iptables-nft -N $c; done; \
                  iptables-nft -A FORWARD -j DOCKER-USER; iptables-nft -A FORWARD -j DOCKER-FORWARD; \
                  iptables-nft -A DOCKER ! -i docker0 -o docker0 -j DROP; iptables-nft -t nat -N DOCKER; \
                  iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER; \
                  iptables-nft -t raw -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP";
    owned_by(
        &loaded(&machine, true, docker),
        BackendId::Nftables,
        "docker beside native rules",
    );
    owned_by(
        &loaded(&machine, false, docker),
        BackendId::Nftables,
        "docker alone",
    );
    let libvirt = "iptables-nft -N LIBVIRT_INP; iptables-nft -A INPUT -j LIBVIRT_INP; \
                   iptables-nft -A LIBVIRT_INP -i virbr0 -p udp --dport 53 -j ACCEPT; iptables-nft -N LIBVIRT_FWI; \
                   iptables-nft -A FORWARD -j LIBVIRT_FWI; iptables-nft -A LIBVIRT_FWI -o virbr0 -j REJECT";
    owned_by(&loaded(&machine, true, libvirt), BackendId::Nftables, "libvirt");
    let kube = "iptables-nft -N KUBE-FIREWALL; iptables-nft -N KUBE-PROXY-FIREWALL; iptables-nft -N KUBE-NODEPORTS; \
                iptables-nft -A INPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL; \
                iptables-nft -A INPUT -j KUBE-NODEPORTS; iptables-nft -A INPUT -j KUBE-FIREWALL; \
                iptables-nft -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP";
    owned_by(&loaded(&machine, true, kube), BackendId::Nftables, "kubernetes");
    let bans = "iptables-nft -N f2b-sshd; iptables-nft -A f2b-sshd -s 192.0.2.7 -j REJECT; iptables-nft -A f2b-sshd -j RETURN; \
                iptables-nft -I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd";
    owned_by(
        &loaded(&machine, true, bans),
        BackendId::Nftables,
        "fail2ban beside native rules",
    );
    owned_by(
        &loaded(&machine, false, bans),
        BackendId::Nftables,
        "fail2ban alone",
    );
}

#[test]
fn plain_rules_of_iptables_are_owned_by_iptables_whatever_stands_among_them() {
    let machine = machine(Suite::Trixie);
    let cloud = "iptables-nft -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT; iptables-nft -A INPUT -p icmp -j ACCEPT; \
                 iptables-nft -A INPUT -i lo -j ACCEPT; iptables-nft -A INPUT -p udp --sport 123 -j ACCEPT; \
                 iptables-nft -A INPUT -p tcp -m state --state NEW --dport 22 -j ACCEPT; \
                 iptables-nft -A INPUT -j REJECT --reject-with icmp-host-prohibited; iptables-nft -N InstanceServices; \
                 iptables-nft -A OUTPUT -d 169.254.0.0/16 -j InstanceServices; \
                 iptables-nft -A InstanceServices -d 169.254.0.2/32 -p tcp --dport 3260 -m owner --uid-owner 0 -j ACCEPT; \
                 iptables-nft -A InstanceServices -d 169.254.0.0/16 -p udp -j REJECT";
    owned_by(
        &loaded(&machine, false, cloud),
        BackendId::Iptables,
        "a cloud's image",
    );
    let calico = "iptables-nft -N cali-INPUT; iptables-nft -A INPUT -j cali-INPUT; iptables-nft -A cali-INPUT -i cali+ -j DROP; \
                  iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT; iptables-nft -P INPUT DROP";
    owned_by(
        &loaded(&machine, false, calico),
        BackendId::Iptables,
        "kubernetes with a policy",
    );
    let six = "ip6tables-nft -P INPUT DROP; ip6tables-nft -A INPUT -p tcp --dport 22 -j ACCEPT";
    owned_by(&loaded(&machine, false, six), BackendId::Iptables, "IPv6 alone");
}

#[test]
fn firewalls_of_their_own_kind_are_recognised_and_told_what_to_add_by_hand() {
    let machine = machine(Suite::Bookworm);
    machine.install();
    machine.put(
        "/root/answers.toml",
        "schema = 1\nrole = \"connect-server\"\n\n[ssh]\nport = 33001\n",
        0o600,
    );
    let by_hand = |expected: &str| {
        let ran = machine.run(&["faspwall", "plan", "-f", "/root/answers.toml"]);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            !ran.ok() && told.contains(expected) && told.contains("33001"),
            "{expected:?} in {told}"
        );
    };
    let csf = "iptables-nft -P INPUT DROP; iptables-nft -P OUTPUT DROP; iptables-nft -N LOCALINPUT; iptables-nft -N DENYIN; \
               iptables-nft -A INPUT -j LOCALINPUT; iptables-nft -A LOCALINPUT -j DENYIN; \
               iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT; iptables-nft -A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT";
    left_alone(&loaded(&machine, false, csf), &Unmanaged::Csf);
    by_hand("TCP_IN and TCP6_IN: 33001");
    let shorewall = "iptables-nft -N shorewall; iptables-nft -N net-fw; iptables-nft -A INPUT -j net-fw; \
                     iptables-nft -A net-fw -p tcp --dport 22 -j ACCEPT; iptables-nft -A net-fw -j DROP; iptables-nft -P INPUT DROP";
    left_alone(&loaded(&machine, false, shorewall), &Unmanaged::Shorewall);
    by_hand("/etc/shorewall/rules");
    let proxmox = "iptables-nft -N PVEFW-INPUT; iptables-nft -N PVEFW-Drop; iptables-nft -A INPUT -j PVEFW-INPUT; \
                   iptables-nft -A PVEFW-INPUT -p tcp --dport 8006 -j ACCEPT; iptables-nft -A PVEFW-INPUT -j PVEFW-Drop; \
                   iptables-nft -A PVEFW-Drop -j DROP";
    left_alone(&loaded(&machine, false, proxmox), &Unmanaged::Proxmox);
    by_hand("host.fw");
    machine.sh("nft flush ruleset");
    machine.feed(
        &["nft", "-f", "-"],
        "table inet fw4 {\n chain input {\n type filter hook input priority filter; policy drop;\n iif \"lo\" accept\n \
         ct state vmap { established : accept, related : accept }\n iifname \"host0\" jump input_wan\n jump handle_reject\n }\n \
         chain input_wan {\n tcp dport 22 counter accept comment \"!fw4: Allow-SSH\"\n jump handle_reject\n }\n \
         chain handle_reject {\n meta l4proto tcp reject with tcp reset\n reject\n }\n}\n",
    );
    left_alone(&facts(&machine), &Unmanaged::OpenWrt);
    by_hand("option dest_port '33001'");
    machine.sh("nft flush ruleset");
    // A table with an owner lives as long as the program that made it.
    machine.sh(
        "mkfifo /run/words; nft -i </run/words >/dev/null 2>&1 & exec 9>/run/words; \
         echo 'add table inet guard { flags owner; }' >&9; \
         echo 'add chain inet guard input { type filter hook input priority 0; policy drop; }' >&9; \
         echo 'add rule inet guard input tcp dport 22 accept' >&9; \
         (sleep 60 <&9 >/dev/null 2>&1 &); \
         until nft list table inet guard 2>/dev/null | grep -q 'dport 22'; do :; done",
    );
    left_alone(&facts(&machine), &Unmanaged::Locked(String::from("inet guard")));
    by_hand("the program that owns table inet guard");
}
