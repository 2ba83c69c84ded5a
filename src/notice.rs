//! The text for the people who use the server: what changes, when, and what they have to do.
//!
//! The vendor moves SSH in two steps, with both ports open for a while, and asks to tell the users in between. Options of
//! ascp and the places in the client are those of its manuals ("Securing your SSH server").

use jiff::civil::Date;

use crate::answers::{ASPERA_PORT, Answers, OLD_SSH_PORT};
use crate::facts::Facts;
use crate::plan::{Plan, Port22};
use crate::port::Protocol;

/// The text, in lines of at most 78 columns; `None` where SSH does not come in by a new port. `day` is the day of the
/// change.
pub fn text(plan: &Plan, answers: &Answers, facts: &Facts, day: Option<Date>) -> Option<String> {
    plan.inbound_ssh().filter(|_| plan.ssh_port != OLD_SSH_PORT)?;
    let letter = Letter {
        plan,
        answers,
        host: if facts.hostname.is_empty() {
            "our transfer server"
        } else {
            &facts.hostname
        },
        day,
    };
    Some(letter.text())
}

struct Letter<'a> {
    plan: &'a Plan,
    answers: &'a Answers,
    host: &'a str,
    day: Option<Date>,
}

impl Letter<'_> {
    fn text(&self) -> String {
        let (host, port) = (self.host, self.plan.ssh_port);
        let mut lines = vec![
            format!("Subject: {host}: logins and transfers move to TCP port {port}"),
            String::new(),
            String::from("Dear users,"),
            String::new(),
            format!("{host} takes SSH logins and Aspera transfers on TCP port {port}"),
            String::from("from now on. The old port is 22."),
            String::new(),
            String::from("What changes, and when"),
        ];
        lines.extend(self.dates());
        lines.extend([String::new(), String::from("What you have to do")]);
        lines.extend(self.tasks());
        lines.extend([String::new(), String::from("What stays the same")]);
        lines.extend(self.same());
        lines.join("\n") + "\n"
    }

    fn dates(&self) -> Vec<String> {
        let port = self.plan.ssh_port;
        let day = self
            .day
            .map_or_else(|| String::from("now"), |day| day.to_string());
        let row = |when: &str, what: &str| format!("  {when:<12}{what}");
        let mut rows = vec![row(&day, &format!("TCP port {port} is open."))];
        match (&self.plan.port_22, self.plan.keep_22_until) {
            (Port22::Keep, Some(until)) => {
                rows.push(row("", &format!("TCP port 22 works too, until {until}.")));
                rows.push(row(
                    &until.to_string(),
                    "TCP port 22 is closed. Who still uses it then cannot log in,",
                ));
                rows.push(row("", "and transfers fail. Please change over before that day."));
            }
            (Port22::Keep, None) => rows.push(row(
                "",
                "TCP port 22 works too for the time being. Please do not wait.",
            )),
            (Port22::Restrict(nets), _) => {
                let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
                rows.push(row("", "TCP port 22 is closed, except for these networks:"));
                rows.extend(nets.iter().map(|net| row("", &format!("  {net}"))));
            }
            (Port22::Close, _) => {
                rows.push(row("", "TCP port 22 is closed. Who still uses it cannot log in."))
            }
        }
        rows
    }

    fn tasks(&self) -> Vec<String> {
        let (host, port) = (self.host, self.plan.ssh_port);
        let udp = self.answers.fasp_udp;
        let data = if udp.first() == ASPERA_PORT {
            String::new()
        } else {
            format!(" -O {}", udp.first())
        };
        let outward = match self
            .plan
            .requirements
            .iter()
            .find(|r| r.protocol == Protocol::Udp && r.id == "fasp")
        {
            Some(fasp) => format!("TCP {port} and UDP {}", fasp.ports),
            None => format!("TCP {port}"),
        };
        vec![
            String::from("  Command line:"),
            format!("      ascp -P {port}{data} FILE USER@{host}:FOLDER"),
            format!("      ssh -p {port} USER@{host}"),
            format!("      sftp -P {port} USER@{host}"),
            String::from("  Aspera client with windows (desktop client):"),
            String::from("      Connections, choose your connection, tab Connection,"),
            format!("      Show Advanced Settings, SSH Port (TCP): {port}"),
            String::from("  Your own scripts, and watch folders: the same -P option or port setting."),
            String::from("  Who runs Faspex, Shares or Console: set the SSH port of this node there."),
            format!("  Your firewall must let {outward} out to {host}."),
            String::from("  ssh asks once more whether to trust the key of the server, because it keeps"),
            String::from("  keys by port. The key is the one you know."),
        ]
    }

    fn same(&self) -> Vec<String> {
        vec![
            format!(
                "  Names, passwords and keys. The data come by UDP port {}.",
                self.answers.fasp_udp
            ),
            String::from("  Sessions and transfers that are running are not cut."),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Legacy22;
    use crate::catalogue::Catalogue;
    use crate::plan::plan;

    fn letter(change: impl FnOnce(&mut Answers)) -> Option<String> {
        let catalogue = Catalogue::builtin();
        let mut answers = Answers::for_role(catalogue.role("connect-server").expect("a role"));
        change(&mut answers);
        let plan = plan(catalogue, &answers).expect("a plan");
        let facts = Facts {
            hostname: String::from("aspera01"),
            ..Facts::default()
        };
        text(&plan, &answers, &facts, Some(jiff::civil::date(2026, 11, 23)))
    }

    #[test]
    fn the_users_are_told_what_changes_and_when() {
        let text = letter(|answers| {
            answers.ssh.legacy_22 = Legacy22::Keep;
            answers.ssh.keep_22_until = Some(jiff::civil::date(2026, 12, 23));
            answers.fasp_udp = "33002".parse().expect("a port");
        })
        .expect("a text");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_choice_about_22_has_its_words() {
        let closed = letter(|_| {}).expect("a text");
        assert!(closed.contains("TCP port 22 is closed. Who"), "{closed}");
        let some = letter(|answers| {
            answers.ssh.legacy_22 = Legacy22::Restrict;
            answers.ssh.restrict_22_to = vec!["192.0.2.0/24".parse().expect("a network")];
        });
        let some = some.expect("a text");
        assert!(
            some.contains("except for these networks:\n                192.0.2.0/24"),
            "{some}"
        );
        let kept = letter(|answers| {
            answers.ssh.legacy_22 = Legacy22::Keep;
            answers.accept = vec![String::from("FW001")];
        });
        assert!(kept.expect("a text").contains("for the time being"));
        for text in [closed, some] {
            assert!(text.lines().all(|line| line.chars().count() <= 78), "{text}");
        }
    }

    #[test]
    fn nobody_is_told_of_a_port_that_stays() {
        assert_eq!(
            letter(|answers| {
                answers.ssh.port = 22;
                answers.ssh.legacy_22 = Legacy22::Keep;
                answers.accept = vec![String::from("FW001")];
            }),
            None
        );
    }
}
