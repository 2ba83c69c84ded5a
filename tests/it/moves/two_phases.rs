//! The move in two steps that the vendor describes: both ports for a while, 22 closed later; with aspera.conf brought
//! along.

use super::{
    Family, Suite, apply, assert_as_before, assert_open, code, confirm, document, fingerprint, server, status,
};

const CONF: &str = "/opt/aspera/etc/aspera.conf";
/// In the shape of the published schema; the key must never be shown.
const BEFORE: &str = "<?xml version='1.0' encoding='UTF-8'?>
<CONF version=\"2\">
  <default>
    <transfer>
      <protocol_options><bind_udp_port>33002</bind_udp_port></protocol_options>
    </transfer>
    <authorization><token><encryption_key>s3cr3t-key</encryption_key></token></authorization>
  </default>
  <server>
    <!-- ssh as it came -->
    <ssh_port>22</ssh_port>
  </server>
</CONF>
";

fn written(machine: &super::Machine) -> String {
    machine.ok(&["cat", CONF])
}

/// Two confirmations, each from a new login on that port; the state after them.
fn confirm_twice(machine: &super::Machine, trial: &serde_json::Value, door: u16) {
    let trial = document(&confirm(machine, door, &code(trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    let done = document(&confirm(machine, door, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
}

#[test]
fn both_ports_for_a_while_then_22_closes_and_aspera_conf_comes_along() {
    let machine = server(Suite::Bookworm);
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let until = today.checked_add(jiff::Span::new().days(3)).expect("a day");
    let answers = format!(
        "schema = 1\nrole = \"high-speed-transfer-server\"\n[ssh]\nport = 33001\nlegacy_22 = \"keep\"\n\
         keep_22_until = \"{until}\"\n[aspera]\nconf = \"set\"\n"
    );
    machine.put("/root/answers.toml", answers, 0o600);
    machine.put(CONF, BEFORE.replace("</server>", "<server>"), 0o640);
    let refused = machine.run(&["faspwall", "plan", "-f", "/root/answers.toml"]);
    assert_eq!(refused.status, Some(9), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("aspera.conf cannot be changed: line 13: "),
        "{refused:?}"
    );
    machine.put(CONF, BEFORE, 0o640);
    machine.ok(&["chown", "1234:1235", CONF]);
    let before = fingerprint(&machine);
    let shown = machine.ok(&["faspwall", "plan", "-f", "/root/answers.toml", "--diff"]);
    assert!(shown.contains("-    <ssh_port>22</ssh_port>"), "{shown}");
    let documents = machine.ok(&["faspwall", "plan", "-f", "/root/answers.toml", "--json"]);
    for text in [&shown, &documents] {
        assert!(!text.contains("s3cr3t"), "{text}");
    }

    // Whoever owns the directory could put a link in the place of the file.
    let dir = CONF.strip_suffix("/aspera.conf").expect("its directory");
    machine.ok(&["chown", "1234", dir]);
    let ran = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml --json");
    assert!(
        !ran.ok()
            && ran
                .stderr
                .contains(&format!("{dir} belongs to user 1234. Nothing was changed.")),
        "{ran:?}"
    );
    assert_as_before(&machine, &before, "a directory of somebody else");
    machine.ok(&["chown", "root", dir]);

    both_ports(&machine, &until.to_string());
    machine.sh(&format!(
        "sed -i 's|<default>|<default><!-- new: xfer2 -->|' {CONF}"
    ));
    let noted = status(&machine);
    assert_eq!(noted["drift"], serde_json::json!([]), "{noted}");

    let later = today.checked_add(jiff::Span::new().days(20)).expect("a day");
    machine.sh(&format!("sed -i 's/{until}/{later}/' /root/answers.toml"));
    let moved = document(&machine.run(&["faspwall", "apply", "-f", "/root/answers.toml", "--json"]));
    assert_eq!(
        (&moved["state"], &moved["keep_22_until"]),
        (
            &serde_json::json!("unchanged"),
            &serde_json::json!(later.to_string())
        ),
        "{moved}"
    );
    let until = later;
    assert_eq!(status(&machine)["reminder"]["days_left"], 20);

    let trial = document(&machine.ssh(33001, Family::V4, "faspwall close-22 --json"));
    assert_eq!(trial["schema"], "faspwall.close-22/1", "{trial}");
    assert_open(&machine, &[22, 33001]);
    confirm_twice(&machine, &trial, 33001);
    assert_open(&machine, &[33001]);
    let now = status(&machine);
    assert!(now["reminder"].is_null(), "{now}");
    let again = document(&machine.run(&["faspwall", "close-22", "--json"]));
    assert_eq!(again["state"], "unchanged", "{again}");
    let text = machine.ok(&["faspwall", "notice"]);
    assert!(text.contains("TCP port 22 is closed."), "{text}");

    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    let mut done = document(&confirm(&machine, 22, &code(&back)));
    if done["state"] != "committed" {
        done = document(&confirm(&machine, 22, &code(&done)));
    }
    assert_eq!(done["state"], "committed", "{done}");
    assert_open(&machine, &[22, 33001]);
    let reminded = status(&machine);
    assert_eq!(reminded["reminder"]["until"], until.to_string(), "{reminded}");

    let back = document(&machine.ssh(22, Family::V4, "faspwall rollback --json"));
    confirm_twice(&machine, &back, 22);
    assert_open(&machine, &[22]);
    assert_eq!(
        written(&machine),
        BEFORE.replace("<default>", "<default><!-- new: xfer2 -->")
    );
    assert_as_before(&machine, &before, "after both ways back");
}

/// The first step: applied, confirmed, looked at.
fn both_ports(machine: &super::Machine, until: &str) {
    let trial = apply(machine, 120);
    assert_eq!(written(machine), BEFORE, "a trial touches no file");
    let done = document(&confirm(machine, 33001, &code(&trial)));
    assert_eq!(
        done["state"], "committed",
        "nothing is shut, so there is no trial 2: {done}"
    );
    assert_open(machine, &[22, 33001]);
    assert_eq!(
        written(machine),
        BEFORE
            .replace("<ssh_port>22<", "<ssh_port>33001<")
            .replace("33002", "33001")
    );
    let stat = machine.ok(&["stat", "-c", "%u:%g %a", CONF]);
    assert_eq!(stat.trim(), "1234:1235 640");
    assert_eq!(
        done["left_to_do"],
        serde_json::json!([
            "let the product read its new ports: systemctl restart asperacentral asperanoded"
        ])
    );
    let file = done["notice"].as_str().expect("a file");
    let text = machine.ok(&["cat", file]);
    assert!(
        text.contains("ascp -P 33001") && text.contains(&format!("until {until}")),
        "{text}"
    );
    assert_eq!(machine.ok(&["faspwall", "notice"]), text);
    let now = status(machine);
    let reminder = &now["reminder"];
    assert_eq!(
        (&reminder["urgent"], &reminder["command"]),
        (&serde_json::json!(true), &serde_json::json!("faspwall close-22")),
        "{now}"
    );
    let plain = machine.ok(&["faspwall", "status"]);
    assert!(
        plain.contains("REMINDER") && plain.contains("in 3 days"),
        "{plain}"
    );
}
