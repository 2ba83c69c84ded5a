//! aspera.conf of a server with HTTP fallback and the old web pages comes along with the move, and goes back with it.

use super::hosts::finish;
use super::{
    Family, Machine, Protocol, Suite, apply, assert_as_before, assert_open, document, fingerprint, server,
    status,
};

const CONF: &str = "/opt/aspera/etc/aspera.conf";
/// In the shape of the published schema, with the attributes of the old web pages.
const BEFORE: &str = "<?xml version='1.0' encoding='UTF-8'?>
<CONF version=\"2\">
  <http_server>
    <enable_http>true</enable_http>
    <http_port>8081</http_port>
    <enable_https>no</enable_https>
  </http_server>
  <!-- pages of old -->
  <WEB SshPort=\"22\" UdpPort='33001' HttpFallback=\"yes\" HttpFallbackPort=\"8081\" />
  <server>
    <ssh_port>22</ssh_port>
  </server>
</CONF>
";
const ANSWERS: &str = "schema = 1\nrole = \"high-speed-transfer-server\"\n[ssh]\nport = 33001\nlegacy_22 = \"close\"\n\
                       [http_fallback]\nhttp = 8090\nhttps = 8443\n[aspera]\nconf = \"leave\"\n";

/// The fallback's ports that are let in, in both families; nobody listens there.
fn assert_let_in(machine: &Machine, wanted: &[u16], when: &str) {
    for family in [Family::V4, Family::V6] {
        for (port, state) in machine.scan(Protocol::Tcp, "8090,8443,8081", family) {
            let expected = if wanted.contains(&port) {
                "closed"
            } else {
                "filtered"
            };
            assert_eq!(state, expected, "{when}, TCP/{port} over {family:?}");
        }
    }
}

#[test]
fn a_fallback_and_the_old_web_pages_come_along_and_go_back() {
    let machine = server(Suite::Bookworm);
    machine.put(CONF, BEFORE, 0o640);
    machine.ok(&["chown", "1234:1235", CONF]);
    machine.put("/root/answers.toml", ANSWERS, 0o600);
    let before = fingerprint(&machine);

    // Left to the operator, everything that does not fit is named, each with its command where there is one.
    let told = machine.ok(&["faspwall", "plan", "-f", "/root/answers.toml"]);
    for words in [
        "ssh_port is 22, but ssh.port is 33001",
        "SshPort of <WEB> is 22, but ssh.port is 33001",
        "http_port is 8081, but http_fallback.http is 8090",
        "HttpFallbackPort of <WEB> is 8081, but http_fallback.http is 8090",
        "enable_https is false",
        "asconfigurator -x \"set_http_server_data;http_port,8090\"   and its <WEB> section in the file by hand",
        "asconfigurator -x \"set_http_server_data;enable_https,true\"",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }

    machine.put(
        "/root/answers.toml",
        ANSWERS.replace("\"leave\"", "\"set\""),
        0o600,
    );
    let trial = apply(&machine, 120);
    assert_eq!(
        machine.get(CONF).as_deref(),
        Some(BEFORE),
        "a trial touches no file"
    );
    assert_let_in(&machine, &[8090, 8443], "in trial 1");
    let done = finish(&machine, 33001, trial);
    let written = machine.get(CONF).expect("the file");
    let wanted = BEFORE
        .replace("<http_port>8081<", "<http_port>8090<")
        .replace("<enable_https>no<", "<enable_https>true<")
        .replace("SshPort=\"22\"", "SshPort=\"33001\"")
        .replace("HttpFallbackPort=\"8081\"", "HttpFallbackPort=\"8090\"")
        .replace("<ssh_port>22<", "<ssh_port>33001<");
    assert_eq!(written, wanted);
    let stat = machine.ok(&["stat", "-c", "%u:%g %a", CONF]);
    assert_eq!(stat.trim(), "1234:1235 640");
    assert_eq!(
        done["left_to_do"],
        serde_json::json!(["let the product read its new ports: systemctl restart asperahttpd asperanoded"])
    );
    assert_let_in(&machine, &[8090, 8443], "after the commit");
    assert_eq!(status(&machine)["drift"], serde_json::json!([]));
    let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_eq!(again["state"], "unchanged", "{again}");

    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    finish(&machine, 22, back);
    assert_eq!(machine.get(CONF).as_deref(), Some(BEFORE), "after the way back");
    assert_let_in(&machine, &[], "after the way back");
    assert_open(&machine, &[22]);
    assert_as_before(&machine, &before, "after the way back");
}
