//! Plans of whole roles, line by line.

use faspwall::answers::{Answers, Daemon, HttpPorts, Legacy22, Outbound, Vlink};
use faspwall::catalogue::Catalogue;
use faspwall::plan::{Plan, PlanError, Port22, plan};
use ipnet::IpNet;

fn answers(role: &str) -> Answers {
    Answers::for_role(Catalogue::builtin().role(role).expect("a role"))
}

fn planned(answers: &Answers) -> Plan {
    plan(Catalogue::builtin(), answers).expect("a plan")
}

/// `ssh in tcp 33001`, and where it is limited `from 192.0.2.0/24`, `to 224.0.0.0/4`.
fn lines(answers: &Answers) -> Vec<String> {
    let requirements = planned(answers).requirements;
    requirements
        .iter()
        .map(|wanted| {
            let mut line = format!(
                "{} {} {} {}",
                wanted.id, wanted.direction, wanted.protocol, wanted.ports
            );
            if !wanted.peers.is_empty() {
                let peers: Vec<_> = wanted.peers.iter().map(ToString::to_string).collect();
                line.push_str(&format!(" for {}", peers.join(" ")));
            }
            if let Some(group) = wanted.group {
                line.push_str(&format!(" to {group}"));
            }
            line
        })
        .collect()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts
        .iter()
        .map(|text| text.parse().expect("a network"))
        .collect()
}

#[test]
fn a_server_by_default() {
    let answers = answers("enterprise-server");
    assert_eq!(lines(&answers), ["ssh in tcp 33001", "fasp in udp 33001"]);
    let plan = planned(&answers);
    assert_eq!(
        (plan.ssh_port, plan.move_sshd, plan.port_22.clone()),
        (33_001, true, Port22::Close)
    );
    assert_eq!(plan.inbound_ssh().map(|ssh| ssh.ports.first()), Some(33_001));
    for requirement in &plan.requirements {
        assert!(requirement.why.len() > 20);
        assert!(
            requirement.source.contains("Configuring the firewall"),
            "{}",
            requirement.source
        );
    }
}

#[test]
fn a_connect_server_with_everything() {
    let mut answers = answers("connect-server");
    answers.ssh.port = 2222;
    answers.fasp_udp = "33001-33010".parse().expect("a range");
    answers.http_fallback = HttpPorts {
        http: None,
        https: Some(8443),
    };
    answers.web_ui = HttpPorts {
        http: Some(80),
        https: Some(443),
    };
    answers.node_api = Some(9092);
    answers.vlink = Some(Vlink::default());
    assert_eq!(
        lines(&answers),
        [
            "ssh in tcp 2222",
            "fasp in udp 33001-33010",
            "fallback-https in tcp 8443",
            "fallback-https-out out tcp 8443",
            "web-http in tcp 80",
            "web-https in tcp 443",
            "vlink in udp 55001 to 224.0.0.0/4",
            "vlink-out out udp 55001 to 224.0.0.0/4",
            "node-api in tcp 9092",
        ]
    );
    answers.firewall.outbound = Outbound::Never;
    assert!(lines(&answers).iter().all(|line| !line.contains(" out ")));
}

#[test]
fn sources_are_for_those_who_come_in() {
    let mut answers = answers("connect-server");
    answers.http_fallback.http = Some(8080);
    answers.vlink = Some(Vlink {
        group: nets(&["239.1.1.7/32"])[0],
        ..Vlink::default()
    });
    answers.firewall.sources = nets(&["192.0.2.0/24", "2001:db8::/32"]);
    assert_eq!(
        lines(&answers),
        [
            "ssh in tcp 33001 for 192.0.2.0/24 2001:db8::/32",
            "fasp in udp 33001 for 192.0.2.0/24 2001:db8::/32",
            "fallback-http in tcp 8080 for 192.0.2.0/24 2001:db8::/32",
            "fallback-http-out out tcp 8080",
            "vlink in udp 55001 for 192.0.2.0/24 to 239.1.1.7/32",
            "vlink-out out udp 55001 to 239.1.1.7/32",
        ]
    );
}

#[test]
fn a_client_opens_nothing_and_leaves_sshd_alone() {
    let mut answers = answers("client");
    answers.firewall.sources = nets(&["198.51.100.0/24"]);
    assert_eq!(
        lines(&answers),
        [
            "ssh-out out tcp 33001 for 198.51.100.0/24",
            "fasp-out out udp 33001 for 198.51.100.0/24"
        ]
    );
    // What another role left behind in the wizard means nothing here.
    answers.ssh.legacy_22 = Legacy22::Close;
    answers.ssh.daemon = Daemon::Move;
    answers.web_ui.https = Some(443);
    let plan = planned(&answers);
    assert_eq!((plan.move_sshd, plan.port_22.clone()), (false, Port22::Keep));
    assert_eq!(plan.inbound_ssh(), None);
    assert_eq!(plan.requirements.len(), 2);
}

#[test]
fn a_node_of_the_cloud_lets_only_the_cloud_in_on_443() {
    let mut answers = answers("tethered-node");
    let plan = planned(&answers);
    let web = plan
        .requirements
        .iter()
        .find(|wanted| wanted.id == "tethered-https")
        .expect("there");
    assert_eq!(web.peers.len(), 11);
    assert!(
        plan.requirements
            .iter()
            .filter(|wanted| wanted.id != "tethered-https")
            .all(|wanted| wanted.peers.is_empty())
    );
    answers.extra = vec!["metering".into()];
    answers.firewall.sources = nets(&["192.0.2.0/24"]);
    let listed = lines(&answers);
    assert!(
        listed.contains(&"tethered-https in tcp 443 for 192.0.2.0/24".to_owned()),
        "{listed:?}"
    );
    assert!(listed.contains(&"metering out tcp 443".to_owned()), "{listed:?}");
}

#[test]
fn port_22_as_the_answers_say() {
    let mut answers = answers("connect-server");
    answers.ssh.legacy_22 = Legacy22::Restrict;
    answers.ssh.restrict_22_to = nets(&["10.0.0.0/8"]);
    assert_eq!(planned(&answers).port_22, Port22::Restrict(nets(&["10.0.0.0/8"])));
    answers.ssh.legacy_22 = Legacy22::Keep;
    answers.accept = vec!["FW001".into()];
    assert_eq!(planned(&answers).port_22, Port22::Keep);
    answers.ssh.legacy_22 = Legacy22::Close;
    answers.ssh.port = 22;
    assert_eq!(planned(&answers).port_22, Port22::Keep);
    answers.ssh.daemon = Daemon::Leave;
    assert!(!planned(&answers).move_sshd);
}

#[test]
fn no_plan_from_answers_that_contradict_themselves() {
    let mut answers = answers("connect-server");
    answers.ssh.legacy_22 = Legacy22::Keep;
    answers.web_ui.https = Some(33_001);
    let error = plan(Catalogue::builtin(), &answers).expect_err("no plan");
    let text = error.to_string();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(matches!(error, PlanError::Answers(mistakes) if mistakes.len() == 2));
    answers.role = "no-such".into();
    assert!(plan(Catalogue::builtin(), &answers).is_err());
}
