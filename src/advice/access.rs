//! Advice about SSH: what could lock somebody out, and what leaves the door open.

use ipnet::IpNet;

use super::{Advice, Case, Severity, grouped, ruleset, socket_line};
use crate::answers::OLD_SSH_PORT;
use crate::facts::{ChainFact, InboundDefault, Session, SshFacts, Via};
use crate::plan::Port22;
use crate::port::Protocol;
use crate::sshd::by_hand::is_moved_here;
use crate::sshd::neighbours;

/// FW001: TCP/22 stays reachable by everyone.
pub fn port_22_stays_open(case: &Case<'_>) -> Option<Advice> {
    case.plan.inbound_ssh()?;
    if case.plan.port_22 != Port22::Keep {
        return None;
    }
    let in_use = case.plan.ssh_port == OLD_SSH_PORT;
    let text = if in_use {
        "SSH stays on TCP/22, open to everyone. Port scanners try 22 all day; the vendor asks for another port, \
         such as 33001, and for 22 to be shut. Set port = 33001 in [ssh], or accept FW001 on purpose."
    } else {
        "TCP/22 stays open to everyone. Port scanners try 22 all day; the vendor asks for it to be shut. Shut it \
         (legacy_22 = \"close\"), or keep it for your own networks (legacy_22 = \"restrict\" and restrict_22_to), \
         or accept FW001 on purpose."
    };
    if let (Some(day), false) = (case.plan.keep_22_until, in_use) {
        let text = format!(
            "TCP/22 stays open to everyone until {day}, for old clients. faspwall status reminds you from a week \
             before that day; faspwall close-22 shuts it."
        );
        return Some(Advice::new("FW001", Severity::Warning, text).seen(port_22_evidence(case)));
    }
    Some(Advice::new("FW001", Severity::Blocker, text).seen(port_22_evidence(case)))
}

fn port_22_evidence(case: &Case<'_>) -> Vec<String> {
    let facts = case.facts;
    let mut lines = Vec::new();
    lines.extend(case.listeners(Protocol::Tcp, OLD_SSH_PORT).map(socket_line));
    if lines.is_empty() && facts.ssh.ports.contains(&OLD_SSH_PORT) {
        lines.push("sshd listens on TCP/22 now".to_owned());
    }
    if lines.is_empty() && !facts.ssh.ports.is_empty() {
        lines
            .push("nothing listens on TCP/22 now, but the port stays reachable for whatever will".to_owned());
    }
    if let Some(count) = facts.ssh.failed_logins.filter(|count| *count > 0) {
        let logins = if count == 1 { "login" } else { "logins" };
        lines.push(format!(
            "sshd logged {} failed {logins} in the last 24 hours",
            grouped(count)
        ));
    }
    let dropping = facts
        .chains
        .iter()
        .filter(|chain| chain.drops.is_some())
        .filter(|chain| inbound(chain));
    for chain in dropping {
        let drops = chain.drops.as_deref().unwrap_or_default();
        lines.push(format!(
            "{} {} {}: {drops}; what it lets in on 22 stays in",
            chain.family, chain.table, chain.chain
        ));
    }
    if facts.privileged
        && !facts
            .chains
            .iter()
            .any(|chain| chain.drops.is_some() && inbound(chain))
    {
        lines.push("no chain of this host drops packets that come in".to_owned());
    }
    if let Some(session) = facts
        .session
        .as_ref()
        .filter(|session| session.server_port == Some(OLD_SSH_PORT))
    {
        lines.push(format!("your own connection uses it{}", from(session)));
    }
    lines
}

fn inbound(chain: &ChainFact) -> bool {
    chain.hook != "output" && chain.hook != "postrouting"
}

fn from(session: &Session) -> String {
    session.client.map_or(String::new(), |client| {
        format!(" (from {})", client.to_canonical())
    })
}

/// FW002: sshd does not listen on the chosen port.
pub fn sshd_not_on_the_port(case: &Case<'_>) -> Option<Advice> {
    case.plan.inbound_ssh()?;
    let port = case.plan.ssh_port;
    let ssh = &case.facts.ssh;
    if ssh.ports.contains(&port) {
        return None;
    }
    let holders: Vec<_> = case
        .listeners(Protocol::Tcp, port)
        .filter(|socket| {
            !socket.of_root() || !socket.program.as_deref().unwrap_or("sshd").starts_with("sshd")
        })
        .map(socket_line)
        .collect();
    if !holders.is_empty() {
        let text = format!(
            "sshd cannot listen on TCP/{port}: another program holds the port. Stop that program, or choose \
             another port for SSH."
        );
        return Some(Advice::new("FW002", Severity::Blocker, text).seen(holders));
    }
    if ssh.daemon.is_empty() && ssh.ports.is_empty() {
        let text = format!(
            "No running sshd was found, so nothing answers on TCP/{port} yet. Install and start OpenSSH \
             (package openssh-server), then run this again."
        );
        return Some(Advice::new("FW002", Severity::Warning, text));
    }
    let seen = [listening(ssh)];
    if case.plan.move_sshd && is_moved_here(ssh) {
        let text = format!(
            "sshd does not listen on TCP/{port} yet. It is made to: first as a second sshd on trial, and for good \
             only after a login there has worked."
        );
        return Some(Advice::new("FW002", Severity::Note, text).seen(seen));
    }
    let closes = case.plan.port_22 != Port22::Keep;
    let severity = if closes {
        Severity::Blocker
    } else {
        Severity::Warning
    };
    let end = if closes {
        " Shutting 22 would leave no way in."
    } else {
        ""
    };
    let text = if is_moved_here(ssh) {
        format!(
            "sshd does not listen on TCP/{port}, and daemon = \"leave\" keeps it so: the opened port would lead \
             nowhere.{end} Make sshd listen there, or set daemon = \"move\" in [ssh]."
        )
    } else {
        format!(
            "{} does not listen on TCP/{port}, and faspwall does not move it: the opened port would lead nowhere.{end} \
             Make it listen there by hand, beside its old port, and set daemon = \"leave\" in [ssh].",
            ssh.daemon
        )
    };
    Some(Advice::new("FW002", severity, text).seen(seen))
}

/// How the server is called.
fn server(ssh: &SshFacts) -> &str {
    if is_moved_here(ssh) { "sshd" } else { &ssh.daemon }
}

fn listening(ssh: &SshFacts) -> String {
    let server = server(ssh);
    if ssh.ports.is_empty() {
        return format!("{server} listens on no port that others can reach");
    }
    let ports: Vec<_> = ssh.ports.iter().map(|port| format!("TCP/{port}")).collect();
    format!("{server} listens on {}", ports.join(" and "))
}

/// FW003: the plan would cut the connection in use.
pub fn cuts_the_connection_in_use(case: &Case<'_>) -> Option<Advice> {
    let session = case
        .facts
        .session
        .as_ref()
        .filter(|session| session.is_remote())?;
    let seen = match session.server_port {
        Some(port) => format!("you are connected to TCP/{port}{}", from(session)),
        None => format!("you are connected by mosh{}", from(session)),
    };
    if let Some(text) = cut_by_default_deny(case, session) {
        return Some(Advice::new("FW003", Severity::Blocker, text).seen([seen]));
    }
    let closing = match &case.plan.port_22 {
        Port22::Keep => false,
        Port22::Close => true,
        Port22::Restrict(networks) => !case.client().is_some_and(|client| holds(networks, client)),
    };
    if !closing || session.server_port != Some(OLD_SSH_PORT) {
        return None;
    }
    let port = case.plan.ssh_port;
    let ssh = &case.facts.ssh;
    let stays = !case.plan.move_sshd || !is_moved_here(ssh);
    if stays && !ssh.ports.contains(&port) {
        let move_it = if is_moved_here(ssh) {
            "Set daemon = \"move\" in [ssh], or make"
        } else {
            "Make"
        };
        let text = format!(
            "You are connected through TCP/22, which this plan shuts, and nothing will answer on TCP/{port}: there \
             would be no way back in. {move_it} {} listen on {port} first.",
            server(ssh)
        );
        return Some(Advice::new("FW003", Severity::Blocker, text).seen([seen]));
    }
    let text = format!(
        "You are connected through TCP/22, which this plan shuts. Your connection lives on: only new ones are \
         refused, and not before a login on TCP/{port} has worked."
    );
    Some(Advice::new("FW003", Severity::Note, text).seen([seen]))
}

/// What a default-deny set, which is new on this host, would do to the connection.
fn cut_by_default_deny(case: &Case<'_>, session: &Session) -> Option<String> {
    let turned_on =
        case.answers.firewall.default_deny && case.facts.inbound_default == InboundDefault::Accept;
    if !turned_on {
        return None;
    }
    if session.via == Via::Mosh {
        return Some(
            "default_deny would refuse the UDP packets of mosh, through which you are connected. Log in by plain \
             ssh, or leave default_deny off."
                .to_owned(),
        );
    }
    let port = session.server_port?;
    let moved = port == OLD_SSH_PORT && case.plan.port_22 != Port22::Keep;
    // Where sshd listens and goes on listening is never refused.
    let stays = case.facts.ssh.ports.contains(&port);
    if moved || stays || case.plan.opens(Protocol::Tcp, port).is_some() {
        return None;
    }
    Some(format!(
        "default_deny would refuse TCP/{port}, through which you are connected, because this plan does not open it. \
         Leave default_deny off, or choose that port for SSH."
    ))
}

fn holds(networks: &[IpNet], client: std::net::IpAddr) -> bool {
    networks.iter().any(|net| net.contains(&client))
}

/// FW010: SELinux would refuse the bind.
pub fn selinux(case: &Case<'_>) -> Option<Advice> {
    let port = case.plan.ssh_port;
    let enforcing = case.facts.selinux.as_deref() == Some("enforcing");
    if !enforcing || !case.plan.move_sshd || port == OLD_SSH_PORT || case.facts.ssh.ports.contains(&port) {
        return None;
    }
    if case.facts.ssh.labels.is_some() {
        let text = format!(
            "SELinux is on and lets sshd bind the ports of its type alone. It is told to allow TCP/{port} (semanage port) \
             before a second sshd is tried there, and told otherwise again when the change is undone. This step is from \
             semanage's manual: nobody has tried it on a host with SELinux."
        );
        return Some(Advice::new("FW010", Severity::Note, text));
    }
    let text = format!(
        "SELinux is enforcing and may refuse sshd the port TCP/{port}; whether it does was not tested here. Label \
         the port first:   semanage port -a -t ssh_port_t -p tcp {port}   (package policycoreutils-python-utils)."
    );
    Some(Advice::new("FW010", Severity::Warning, text))
}

/// FW011: fail2ban would not watch the new port.
pub fn fail2ban(case: &Case<'_>) -> Option<Advice> {
    case.plan.inbound_ssh()?;
    let port = case.plan.ssh_port;
    if let (Some((network, place)), Some(client)) = (ruleset::banned(case), case.client()) {
        let alone = network == IpNet::from(client);
        let (whom, lift) = if alone {
            (client.to_string(), client.to_string())
        } else {
            (format!("{network}, and with it {client}"), network.to_string())
        };
        let text = format!(
            "fail2ban has banned {whom}, from where you are connected: you could not log in again to confirm. Lift \
             the ban first:   fail2ban-client unban {lift}"
        );
        return Some(Advice::new("FW011", Severity::Blocker, text).seen([format!("{lift} is in {place}")]));
    }
    let is_fail2ban = |owner: &str| owner.to_lowercase().contains("fail2ban");
    let chains = case
        .facts
        .chains
        .iter()
        .filter(|chain| chain.owner.as_deref().is_some_and(is_fail2ban))
        .map(|chain| format!("{} {} {}", chain.family, chain.table, chain.chain));
    let foreign = case
        .facts
        .foreign
        .iter()
        .filter(|foreign| is_fail2ban(&foreign.owner))
        .map(|foreign| {
            let one = foreign.count == 1;
            let kind = if one {
                foreign.kind.trim_end_matches('s')
            } else {
                &foreign.kind
            };
            format!("{} {kind} of fail2ban", foreign.count)
        });
    let seen: Vec<_> = chains.chain(foreign).collect();
    let jail = case.facts.ssh.jail.as_ref().map(|(ports, _)| ports.as_str());
    // What fail2ban says itself counts for more than its rules, which are there only once somebody is banned.
    let covered = jail.is_some_and(|ports| neighbours::covers(ports, port));
    if port == OLD_SSH_PORT || covered || (seen.is_empty() && jail.is_none()) {
        return None;
    }
    if let (Some(ports), true) = (jail, changes_sshd(case)) {
        let text = format!(
            "fail2ban runs here, and its sshd jail bans on these ports: {ports}. It is told to watch TCP/{port} as well, in \
             a file of its own that goes when the change is undone."
        );
        return Some(Advice::new("FW011", Severity::Note, text).seen(seen));
    }
    let (bans, wanted) = match jail {
        Some(ports) => (format!("on these ports: {ports}"), format!("{ports},{port}")),
        None => (
            String::from("for port 22 unless it was told otherwise"),
            port.to_string(),
        ),
    };
    let text = format!(
        "fail2ban runs here, and its sshd jail bans {bans}: attackers on TCP/{port} would be logged but not stopped. Set   \
         port = {wanted}   for [sshd] in /etc/fail2ban/jail.local and reload fail2ban."
    );
    Some(Advice::new("FW011", Severity::Warning, text).seen(seen))
}

/// Whether the plan makes sshd listen elsewhere than now: only then fail2ban is told as well.
fn changes_sshd(case: &Case<'_>) -> bool {
    let ports = &case.facts.ssh.ports;
    let leaves_22 = case.plan.port_22 == Port22::Close && ports.contains(&OLD_SSH_PORT);
    case.plan.move_sshd && (leaves_22 || !ports.contains(&case.plan.ssh_port))
}

/// FW013: a source list that leaves out the address you come from.
pub fn sources_leave_you_out(case: &Case<'_>) -> Option<Advice> {
    let requirement = case.plan.inbound_ssh()?;
    let client = case.client().filter(|client| !client.is_loopback())?;
    if requirement.peers.is_empty() || holds(&requirement.peers, client) {
        return None;
    }
    let port = case.plan.ssh_port;
    let other_way = match &case.plan.port_22 {
        Port22::Keep => true,
        Port22::Close => false,
        Port22::Restrict(networks) => holds(networks, client),
    };
    let severity = if other_way {
        Severity::Warning
    } else {
        Severity::Blocker
    };
    let text = format!(
        "The networks in sources leave out {client}, from where you are connected: you could not log in on \
         TCP/{port} to confirm. Add your network to sources, or confirm from a host that is in them and accept FW013."
    );
    let peers: Vec<_> = requirement.peers.iter().map(ToString::to_string).collect();
    Some(Advice::new("FW013", severity, text).seen([format!("sources: {}", peers.join(", "))]))
}

/// FW019: SSH is let in only from some places today, and would be open to everyone.
pub fn opens_to_everyone(case: &Case<'_>) -> Option<Advice> {
    let requirement = case.plan.inbound_ssh()?;
    let narrow = case.facts.narrow.as_ref()?;
    let on_22 = case.facts.ssh.ports.is_empty() || case.facts.ssh.ports == [OLD_SSH_PORT];
    if !on_22 || !requirement.peers.is_empty() {
        return None;
    }
    let links = case
        .facts
        .links
        .iter()
        .filter(|link| narrow.links.contains(&link.name));
    let behind = links.flat_map(|link| &link.addresses).map(|net| net.trunc());
    // Their own link-local addresses are no network that others come from.
    let behind = behind.filter(|net| !matches!(net, IpNet::V6(v6) if v6.addr().is_unicast_link_local()));
    let mut networks: Vec<IpNet> = narrow.networks.iter().copied().chain(behind).collect();
    networks.sort();
    networks.dedup();
    let list = |words: Vec<String>| words.join(", ");
    let proposed = list(networks.iter().map(|net| format!("\"{net}\"")).collect());
    let mut from: Vec<String> = narrow.networks.iter().map(ToString::to_string).collect();
    from.extend(narrow.links.iter().map(|link| format!("the interface {link}")));
    let way_out = if proposed.is_empty() {
        String::from("Name your networks as sources in [firewall]")
    } else {
        format!("Set sources = [{proposed}] in [firewall]")
    };
    let text = format!(
        "TCP/22 is let in from {} alone today, but this plan opens TCP/{} to everyone. {way_out}, which then holds for \
         every port that this plan opens, or accept FW019 on purpose.",
        list(from.clone()),
        requirement.ports
    );
    let seen = from
        .iter()
        .map(|place| format!("a rule lets TCP/22 in from {place}, and the rest is refused"));
    Some(Advice::new("FW019", Severity::Blocker, text).seen(seen))
}
