//! What shuts a port that the change cannot open is named by its layer and its rule. Bans are such rules: an accept is put
//! below them, and here they ban half of the world.

use super::sandbox::{Sandbox, document};
use super::truth::{ANSWERS, USUAL, input, is_blocked, table};

#[test]
fn a_ban_in_raw_prerouting_is_named() {
    let early = "chain early {\ntype filter hook prerouting priority raw; policy accept;\n\
                 ip saddr 0.0.0.0/1 udp dport 33001 drop\nip saddr 128.0.0.0/1 udp dport 33001 drop\n}\n";
    let server = Sandbox::nft(&table(&(input("drop", USUAL) + early)));
    is_blocked(
        &server,
        "raw prerouting, chain inet filter early",
        "ip saddr 128.0.0.0/1 udp dport 33001 drop",
    );
}

#[test]
fn a_ban_at_netdev_ingress_is_named() {
    let link = "table netdev link {\nchain in {\ntype filter hook ingress device \"eth0\" priority -500; policy accept;\n\
                ip saddr 0.0.0.0/1 tcp dport 33001 drop\nip saddr 128.0.0.0/1 tcp dport 33001 drop\n}\n}\n";
    let server = Sandbox::nft(&(link.to_owned() + &table(&input("drop", USUAL))));
    is_blocked(
        &server,
        "netdev ingress, chain netdev link in",
        "ip saddr 128.0.0.0/1 tcp dport 33001 drop",
    );
}

#[test]
fn an_output_chain_that_keeps_answers_in_is_named() {
    let out = "chain output {\ntype filter hook output priority filter; policy accept;\n\
               ip daddr 0.0.0.0/1 udp sport 33001 drop\nip daddr 128.0.0.0/1 udp sport 33001 drop\n}\n";
    let server = Sandbox::nft(&table(&(input("drop", USUAL) + out)));
    is_blocked(
        &server,
        "output, chain inet filter output",
        "ip daddr 128.0.0.0/1 udp sport 33001 drop",
    );
}

#[test]
fn another_table_is_named() {
    let other = "table ip6 guard {\nchain door {\ntype filter hook input priority 50; policy accept;\njump inner\n}\n\
                 chain inner {\nip6 saddr ::/1 tcp dport 33001 reject\nip6 saddr 8000::/1 tcp dport 33001 reject\n}\n}\n";
    let server = Sandbox::nft(&(other.to_owned() + &table(&input("drop", USUAL))));
    is_blocked(
        &server,
        "input, chain ip6 guard door, chain inner",
        "ip6 saddr ::/1 tcp dport 33001 reject",
    );
}

/// A program of the product that nobody but this host reaches: no firewall opens that, and nobody is told that it is done.
#[test]
fn a_program_that_listens_on_loopback_only_is_named_to_the_end() {
    let load = format!(
        "cat > /etc/nftables.conf <<'RULES'\n{}\nRULES\nnft -f /etc/nftables.conf\n\
         ln -s \"$(python3 -c 'import sys; print(sys.executable)')\" /run/ascp\n\
         setsid /run/ascp -c \"import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 33001)); open('/run/bound', 'w'); time.sleep(9999)\" \
         > /dev/null 2>&1 < /dev/null &\n\
         for i in $(seq 200); do [ -e /run/bound ] && break; sleep 0.1; done; [ -e /run/bound ]",
        table(&input("drop", USUAL))
    );
    let server = Sandbox::new(&load);
    server.put("/root.toml", ANSWERS);
    let told = document(&server.faspwall(&["rehearse", "-f", "/root.toml", "--json"]));
    assert_eq!(told["blockers"][0]["layer"], "loopback listener", "{told:#}");
    assert_eq!(told["blockers"][0]["port"], "UDP/33001", "{told:#}");
    assert_eq!(
        told["blockers"][0]["rule"], "ascp listens on 127.0.0.1 only",
        "{told:#}"
    );
    let said = server.faspwall(&["rehearse", "-f", "/root.toml"]).stdout;
    let but = "but nobody reaches UDP/33001, open or not: ascp listens on 127.0.0.1 only";
    assert!(said.contains(but), "{said}");
    let words =
        "UDP/33001 is open in the firewall only: ascp listens on 127.0.0.1 only, so nobody reaches it";
    let plan = server.faspwall(&["plan", "-f", "/root.toml"]).stdout;
    assert!(plan.contains(words), "{plan}");
    let kept = server.faspwall(&["apply", "-f", "/root.toml", "--no-confirm"]);
    assert!(kept.ok() && kept.stdout.contains("KEPT"), "{kept:?}");
    assert!(kept.stdout.contains(words), "{kept:?}");
    let again = server.faspwall(&["apply", "-f", "/root.toml", "--no-confirm"]);
    assert!(
        again.stdout.contains("nothing to do") && again.stdout.contains(words),
        "{again:?}"
    );
    let again = document(&server.faspwall(&["apply", "-f", "/root.toml", "--no-confirm", "--json"]));
    assert!(
        again["left_to_do"][0]
            .as_str()
            .is_some_and(|line| line.contains(words)),
        "{again}"
    );
}
