//! An Aspera product by what its installer leaves on the disk.

use super::{facts, machine};
use crate::boxes::Suite;

const CONF: &str = "<?xml version='1.0' encoding='UTF-8'?>
<CONF version=\"2\">
<default><transfer><protocol_options><bind_udp_port>33002</bind_udp_port></protocol_options></transfer></default>
<http_server><http_port>8080</http_port><enable_http>ja</enable_http></http_server>
<server><ssh_port>33001</ssh_port></server>
</CONF>
";

#[test]
fn an_installed_server_is_found_with_the_ports_of_its_configuration() {
    let machine = machine(Suite::Bookworm);
    assert_eq!(facts(&machine).aspera, None);
    machine.put(
        "/opt/aspera/product-info.mf",
        "<product><name>IBM Aspera High-Speed Transfer Server</name><version>4.4.5.1646</version></product>\n",
        0o644,
    );
    machine.put("/opt/aspera/etc/aspera.conf", CONF, 0o644);
    let found = facts(&machine).aspera.expect("a product");
    assert_eq!(found.product, "IBM Aspera High-Speed Transfer Server");
    assert_eq!(found.version, "4.4.5.1646");
    assert_eq!(found.role.as_deref(), Some("high-speed-transfer-server"));
    assert_eq!(found.path.to_str(), Some("/opt/aspera"));
    assert_eq!(
        found.conf.as_deref(),
        Some("/opt/aspera/etc/aspera.conf".as_ref())
    );
    assert_eq!((found.udp_port, found.ssh_port), (Some(33002), Some(33001)));
    assert_eq!(found.http, Some((8080, false)));
    assert_eq!(
        found.problems,
        ["line 4: <enable_http> is \"ja\", not true or false"]
    );
}

#[test]
fn a_program_that_hangs_holds_up_nothing_else() {
    let machine = machine(Suite::Bookworm);
    for tool in ["systemctl", "journalctl"] {
        machine.put(
            &format!("/usr/local/bin/{tool}"),
            "#!/bin/sh\nexec sleep 1000\n",
            0o755,
        );
    }
    let started = std::time::Instant::now();
    let text = super::ask(&machine, "slow-facts");
    assert!(
        started.elapsed() < crate::boxes::seconds(9),
        "{:?}",
        started.elapsed()
    );
    let facts: faspwall::facts::Facts = serde_json::from_str(&text).expect("JSON");
    assert_eq!(facts.ssh.failed_logins, None);
    assert_eq!(facts.ssh.ports, [22]);
    assert!(facts.session.is_some() && facts.backend.is_some());
    assert!(
        !machine.run(&["pgrep", "-x", "sleep"]).ok(),
        "nothing is left behind"
    );
}
