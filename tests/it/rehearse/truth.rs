//! For each ruleset: the verdict of the rehearsal before the change is what a neighbour finds before, and the verdict
//! after it is what the neighbour finds once the change is applied.

use serde_json::{Value, json};

use super::sandbox::{Sandbox, document};
use crate::boxes::Suite;

pub const ANSWERS: &str =
    "schema = 1\nrole = \"connect-server\"\n\n[ssh]\nport = 33001\nlegacy_22 = \"close\"\n";
/// What every ruleset here lets in besides.
pub const USUAL: &str = "ct state established,related accept\nct state invalid drop\niif \"lo\" accept\n\
                     meta l4proto { icmp, ipv6-icmp } accept\ntcp dport { 22, 8080 } accept";

fn inbound(cell: &Value) -> bool {
    cell["direction"] == "in"
}

fn port(cell: &Value) -> String {
    format!("{}/{}", cell["protocol"].as_str().expect("text"), cell["port"])
}

fn questions(cells: &[Value]) -> Vec<String> {
    cells
        .iter()
        .map(|cell| format!("{}/{}", port(cell), cell["from"].as_str().expect("an address")))
        .collect()
}

/// Fails where the neighbour finds something else than the rehearsal said.
fn compare(cells: &[Value], column: &str, found: &[String]) {
    assert_eq!(cells.len(), found.len());
    for (cell, found) in cells.iter().zip(found) {
        assert_eq!(cell[column], found.as_str(), "{column}: {cell}");
    }
}

/// Rehearses, asks, applies, asks again.
fn the_truth(server: &Sandbox) -> Value {
    the_truth_of(server, ANSWERS)
}

/// The same with these answers. A plan that meets an obstacle is refused, and the host is played as it is.
pub fn the_truth_of(server: &Sandbox, answers: &str) -> Value {
    the_truth_for(server, answers, |_| true)
}

/// The same for some of the questions: those that the neighbour can ask.
fn the_truth_for(server: &Sandbox, answers: &str, can_be_asked: impl Fn(&Value) -> bool) -> Value {
    server.put("/run/answers.toml", answers);
    let rules = server.rules();
    let ran = server.faspwall(&["rehearse", "-f", "/run/answers.toml", "--json"]);
    let told = document(&ran);
    assert_eq!(server.rules(), rules, "a rehearsal changes nothing");
    let cells: Vec<Value> = told["cells"]
        .as_array()
        .expect("cells")
        .iter()
        .filter(|c| inbound(c) && can_be_asked(c))
        .cloned()
        .collect();
    let mut ports: Vec<String> = cells.iter().map(port).collect();
    ports.sort();
    ports.dedup();
    let mut echo = server.serve(&ports);
    let now = server.ask(&questions(&cells));
    compare(&cells, "before", &now);
    if told["obstacles"] != Value::Array(vec![]) {
        compare(&cells, "after", &now);
    }
    echo.kill().expect("it ran");
    echo.wait().expect("it ended");
    let applied = server.faspwall(&[
        "apply",
        "-f",
        "/run/answers.toml",
        "--no-confirm",
        "--accept",
        "lockout-risk",
    ]);
    if told["ok"] == true {
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(applied.ok(), "{applied:?}\n{told:#}");
        let mut echo = server.serve(&ports);
        compare(&cells, "after", &server.ask(&questions(&cells)));
        echo.kill().expect("it ran");
        echo.wait().expect("it ended");
    } else {
        assert_eq!(ran.status, Some(9), "{ran:?}");
        assert_eq!(applied.status, Some(9), "{applied:?}");
        assert_eq!(server.rules(), rules, "a refused apply changes nothing");
    }
    told
}

/// The plan opens every wanted port and shuts 22.
pub fn opens(server: &Sandbox) {
    let told = the_truth(server);
    assert_eq!(told["ok"], true, "{told:#}");
    assert_eq!(
        told["flow"],
        json!({"tracked": true, "untracked": true}),
        "{told:#}"
    );
    assert_eq!(told["undo"], Value::Array(vec![]), "{told:#}");
    let closing = told["cells"]
        .as_array()
        .expect("cells")
        .iter()
        .filter(|c| c["id"] == "close-22");
    for cell in closing {
        assert_eq!(
            (&cell["before"], &cell["after"]),
            (&"accept".into(), &"drop".into()),
            "{cell}"
        );
    }
}

/// The plan cannot open a port, and the blocker is named by layer and rule.
pub fn is_blocked(server: &Sandbox, layer: &str, rule: &str) {
    let told = the_truth(server);
    assert_eq!(told["ok"], false, "{told:#}");
    assert_named(&told, layer, rule);
}

/// Some blocker has this layer and this rule.
pub fn assert_named(told: &Value, layer: &str, rule: &str) {
    let blockers = told["blockers"].as_array().expect("blockers");
    let named = |blocker: &Value| {
        blocker["layer"].as_str().is_some_and(|text| text.contains(layer))
            && blocker["rule"].as_str().is_some_and(|text| text.contains(rule))
    };
    assert!(blockers.iter().any(named), "{blockers:#?}");
}

pub fn table(chains: &str) -> String {
    format!("table inet filter {{\n{chains}\n}}\n")
}

pub fn input(policy: &str, rules: &str) -> String {
    format!("chain input {{\ntype filter hook input priority filter; policy {policy};\n{rules}\n}}\n")
}

#[test]
fn a_trailing_reject_is_passed() {
    let rules = format!("{USUAL}\nreject with icmpx admin-prohibited");
    opens(&Sandbox::nft(&table(&input("accept", &rules))));
}

/// Packets of an open session that conntrack has never seen are invalid on this host.
fn strict(rules: &str) -> Sandbox {
    Sandbox::new(&format!(
        "sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0\n\
         cat > /etc/nftables.conf <<'RULES'\n{}\nRULES\nnft -f /etc/nftables.conf",
        table(&input("drop", rules))
    ))
}

#[test]
fn an_open_session_goes_on_where_what_conntrack_has_not_seen_is_invalid() {
    opens(&strict(&format!(
        "tcp sport 1024-65535 tcp dport 22 accept\n{USUAL}"
    )));
}

#[test]
fn a_session_that_the_host_itself_ends_is_not_held_against_the_change() {
    let told = the_truth(&strict(USUAL));
    assert_eq!(told["ok"], true, "{told:#}");
    assert_eq!(
        told["flow"],
        json!({"tracked": true, "untracked": null}),
        "{told:#}"
    );
}

#[test]
fn a_drop_in_raw_prerouting_is_passed() {
    let early = "chain early {\ntype filter hook prerouting priority raw; policy accept;\n\
                 th dport 33000-34000 counter drop\n}\n";
    let rules = table(&(input("drop", USUAL) + early));
    opens(&Sandbox::nft(&rules));
}

#[test]
fn a_drop_at_netdev_ingress_is_passed() {
    let link = "table netdev link {\nchain eth0 {\ntype filter hook ingress device \"eth0\" priority -500; policy accept;\n\
                tcp dport 33001 drop\nudp dport 33001 drop\n}\n}\n";
    opens(&Sandbox::nft(&(link.to_owned() + &table(&input("drop", USUAL)))));
}

#[test]
fn a_second_base_chain_is_passed() {
    let late = "chain late {\ntype filter hook input priority 100; policy drop;\nct state established accept\n\
                iif lo accept\nmeta l4proto { icmp, ipv6-icmp } accept\ntcp dport { 22, 8080 } accept\n}\n";
    opens(&Sandbox::nft(&table(&(input("drop", USUAL) + late))));
}

#[test]
fn an_output_policy_that_drops_is_passed() {
    let out = "chain output {\ntype filter hook output priority filter; policy drop;\noif lo accept\n\
               meta l4proto { icmp, ipv6-icmp } accept\ntcp sport { 22, 8080 } accept\n}\n";
    opens(&Sandbox::nft(&table(&(input("drop", USUAL) + out))));
}

#[test]
fn a_set_that_drops_is_passed() {
    let sets = "set shut {\ntype inet_proto . inet_service\nflags interval\n\
                elements = { tcp . 30000-40000, udp . 33001 }\n}\n";
    let rules = format!("ct state established accept\nmeta l4proto . th dport @shut drop\n{USUAL}");
    opens(&Sandbox::nft(&table(
        &(sets.to_owned() + &input("accept", &rules)),
    )));
}

#[test]
fn a_port_that_is_open_for_a_while_only_gets_an_accept_of_its_own() {
    let sets = "set door {\ntype inet_service\nflags timeout\nelements = { 33001 timeout 10m, 8080 }\n}\n";
    let rules = format!("th dport @door accept\n{USUAL}");
    let server = Sandbox::nft(&table(&(sets.to_owned() + &input("drop", &rules))));
    opens(&server);
    let ran = server.run(&["nft", "delete", "element", "inet", "filter", "door", "{ 33001 }"]);
    assert!(ran.ok(), "{ran:?}");
    let asked = ["tcp/33001", "udp/33001"].map(str::to_owned);
    let mut echo = server.serve(&asked);
    let found = server.ask(&asked.map(|port| format!("{port}/198.51.100.9")));
    assert_eq!(found, ["accept", "accept"], "when its time is over");
    echo.kill().expect("it ran");
    echo.wait().expect("it ended");
}

#[test]
fn a_policy_that_drops_ipv6_only_is_passed() {
    let v6 = format!("table ip6 six {{\n{}}}\n", input("drop", USUAL));
    let v4 = "table ip four {\nchain input {\ntype filter hook input priority filter; policy accept;\n}\n}\n";
    opens(&Sandbox::nft(&(v6 + v4)));
}

#[test]
fn a_verdict_map_and_jumps_are_passed() {
    let chains = "chain web { accept; }\nchain admin { ip saddr 10.0.0.0/8 accept; }\n\
                  chain services { tcp dport vmap { 80 : jump web, 8080 : jump web, 22 : accept, 33001 : drop }\nudp dport 1024-65535 drop\n}\n";
    let rules = "ct state vmap { established : accept, related : accept, invalid : drop }\niif lo accept\n\
                 meta l4proto { icmp, ipv6-icmp } accept\njump services";
    opens(&Sandbox::nft(&table(
        &(chains.to_owned() + &input("drop", rules)),
    )));
}

#[test]
fn a_list_of_20000_addresses_is_passed() {
    // Made where it is loaded: it would be too long for a word of a call.
    opens(&Sandbox::new(&format!(
        "{{ echo 'table inet filter {{ set blocked {{ type ipv4_addr; flags interval; elements = {{'\n\
         for i in $(seq 0 19999); do echo \"10.$((200 + i / 10000)).$((i / 100 % 100)).$((i % 100 * 2)),\"; done\n\
         echo '}}; }}'\ncat <<'RULES'\n{}\n}}\nRULES\n}} > /etc/nftables.conf\nnft -f /etc/nftables.conf",
        input("drop", &format!("ip saddr @blocked drop\n{USUAL}"))
    )));
}

#[test]
fn a_rule_for_a_user_whom_nobody_knows_is_passed() {
    let out = "chain output {\ntype filter hook output priority filter; policy accept;\n\
               meta skuid 4711 tcp dport 25 drop\nmeta skgid 4712 udp dport 33001 drop\n}\n";
    opens(&Sandbox::nft(&table(&(input("drop", USUAL) + out))));
}

#[test]
fn a_rule_of_iptables_for_a_user_whom_nobody_knows_is_passed() {
    let of_a_user = "for each in iptables ip6tables; do\n\
                     $each -A OUTPUT -p tcp --dport 25 -m owner --uid-owner 4711 -j REJECT\ndone\n\
                     iptables-save > /etc/iptables/rules.v4; ip6tables-save > /etc/iptables/rules.v6";
    let load = format!("{}{of_a_user}", iptables("nft"));
    opens(&Sandbox::debian(Suite::Bookworm, &load));
}

#[test]
fn a_kernel_without_ipv6_is_opened_for_ipv4() {
    let server = Sandbox::new(&format!(
        "sysctl -qw net.ipv6.conf.all.disable_ipv6=1\ncat > /etc/nftables.conf <<'RULES'\n{}\nRULES\n\
         nft -f /etc/nftables.conf",
        table(&input("drop", USUAL))
    ));
    let told = the_truth_for(&server, ANSWERS, |cell| cell["family"] == "ipv4");
    assert_eq!(told["ok"], true, "{told:#}");
    assert_eq!(told["undo"], Value::Array(vec![]), "{told:#}");
    let plan = server.faspwall(&["plan", "-f", "/run/answers.toml", "--exit-code"]);
    assert_eq!(plan.status, Some(0), "nothing is left to do: {plan:?}");
}

/// What is shut lives on while it is open: sessions of which the kernel keeps no account, where a packet in the middle of
/// nowhere counts as invalid.
#[test]
fn untracked_sessions_live_on_where_nothing_is_picked_up_in_the_middle() {
    let chains = "chain early {\ntype filter hook prerouting priority raw; policy accept;\ntcp dport 22 notrack\n}\n\
                  chain late {\ntype filter hook output priority raw; policy accept;\ntcp sport 22 notrack\n}\n";
    let rules = "ct state invalid drop\nct state established,related accept\niif lo accept\n\
                 meta l4proto { icmp, ipv6-icmp } accept\ntcp dport { 22, 8080 } accept";
    let rules = table(&(chains.to_owned() + &input("drop", rules)));
    let server = Sandbox::new(&format!(
        "sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0\ncat > /etc/nftables.conf <<'RULES'\n{rules}\nRULES\n\
         nft -f /etc/nftables.conf"
    ));
    opens(&server);
}

#[test]
fn a_port_that_is_published_for_a_container_is_named() {
    let nat = "table ip nat {\nchain published {\ntype nat hook prerouting priority dstnat; policy accept;\n\
               fib daddr type local tcp dport 33001 dnat to 172.17.0.2:80\n}\n}\n";
    let server = Sandbox::nft(&(nat.to_owned() + &table(&input("drop", USUAL))));
    is_blocked(&server, "address translation", "dnat to 172.17.0.2:80");
}

#[test]
fn a_translating_chain_whose_policy_drops_is_passed() {
    let nat = "table ip nat {\nchain pre {\ntype nat hook prerouting priority dstnat; policy drop;\n\
               tcp dport { 22, 8080 } accept\niifname \"vif*\" tcp dport 80 redirect to :8080\n}\n}\n";
    opens(&Sandbox::nft(&(nat.to_owned() + &table(&input("drop", USUAL)))));
}

/// A match on an address of IPv4 is not about packets of IPv6, however it is turned.
#[test]
fn a_redirect_that_spares_only_addresses_of_ipv4_is_named() {
    let nat = "table inet proxy {\nchain pre {\ntype nat hook prerouting priority dstnat; policy accept;\n\
               ip daddr != 203.0.113.0/24 return\ntcp dport 33001 redirect to :9999\n}\n}\n";
    let server = Sandbox::nft(&(nat.to_owned() + &table(&input("drop", USUAL))));
    is_blocked(
        &server,
        "address translation",
        "tcp dport 33001 redirect to :9999",
    );
}

/// What iptables loads in every test: two rules in the way of the port, one in front of the other.
const IPTABLES: &str = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -p udp -m udp --dport 33001 -j DROP\nCOMMIT\n\
    *filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:services - [0:0]\n\
    -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j services\n\
    -A services -p tcp -m multiport --dports 22,8080 -j ACCEPT\n";

/// Loads [`IPTABLES`] with a variant of iptables, for both families, and saves it for the boot.
pub fn iptables(variant: &str) -> String {
    let v4 = format!(
        "{IPTABLES}-A services -p icmp -j ACCEPT\n-A services -j REJECT --reject-with icmp-host-prohibited\nCOMMIT"
    );
    let v6 = format!("{IPTABLES}-A services -p ipv6-icmp -j ACCEPT\n-A services -j DROP\nCOMMIT");
    let mut text = format!(
        "update-alternatives --set iptables /usr/sbin/iptables-{variant} > /dev/null\n\
         update-alternatives --set ip6tables /usr/sbin/ip6tables-{variant} > /dev/null\n\
         mkdir -p /etc/iptables\n"
    );
    for (program, file, rules) in [("iptables", "rules.v4", v4), ("ip6tables", "rules.v6", v6)] {
        text.push_str(&format!(
            "{program}-restore <<'RULES'\n{rules}\nRULES\n{program}-save > /etc/iptables/{file}\n"
        ));
    }
    text
}

#[test]
fn iptables_in_nftables_is_passed() {
    opens(&Sandbox::debian(Suite::Bookworm, &iptables("nft")));
}

#[test]
fn the_old_iptables_is_passed() {
    opens(&Sandbox::debian(Suite::Trixie, &iptables("legacy")));
}

#[test]
fn a_rule_of_the_old_iptables_beside_nftables_is_named() {
    let rules = table(&input("drop", USUAL));
    let server = Sandbox::debian(
        Suite::Bookworm,
        &format!(
            "printf '%s' '{rules}' > /etc/nftables.conf\nnft -f /etc/nftables.conf\n\
             iptables-legacy -A INPUT -p tcp --dport 33001 -j DROP"
        ),
    );
    is_blocked(
        &server,
        "old iptables",
        "-A INPUT -p tcp -m tcp --dport 33001 -j DROP",
    );
}

#[test]
fn ufw_with_an_older_deny_is_passed() {
    let load = "ufw --force default deny incoming; ufw allow 22/tcp; ufw allow 8080/tcp; ufw deny 33001/udp\n\
                ufw deny 33001/tcp; ufw --force enable";
    opens(&Sandbox::debian(Suite::Bookworm, load));
}

/// Starts firewalld.
pub const FIREWALLD: &str = "mkdir -p /run/dbus; dbus-daemon --system --fork\nfirewalld --nopid\n\
    for i in $(seq 200); do firewall-cmd --state && break; sleep 0.1; done\n";

#[test]
fn firewalld_with_the_link_in_another_zone_is_passed() {
    let load = "firewall-cmd --permanent --zone=dmz --add-port=8080/tcp; firewall-cmd --reload\n\
                firewall-cmd --zone=dmz --add-interface=eth0";
    opens(&Sandbox::debian(Suite::Trixie, &(FIREWALLD.to_owned() + load)));
}
