//! What to put where by hand, for firewalls that faspwall recognises and leaves to their own programs.
//!
//! Formats: csf.conf and csf.allow of ConfigServer's readme, shorewall-rules(5), the firewall chapter of the Proxmox VE
//! administration guide, OpenWrt's /etc/config/firewall.

use ipnet::IpNet;

use crate::facts::Unmanaged;
use crate::plan::Requirement;
use crate::port::{Direction, Protocol};

/// The lines, with the name of each file before them.
pub fn by_hand(
    which: &Unmanaged,
    requirements: &[Requirement],
    closing: &[u16],
    hostname: &str,
) -> Vec<String> {
    match which {
        Unmanaged::Csf => csf(requirements, closing),
        Unmanaged::Shorewall => shorewall(requirements, closing),
        Unmanaged::Proxmox => proxmox(requirements, closing, hostname),
        Unmanaged::OpenWrt => openwrt(requirements, closing),
        Unmanaged::Locked(table) => {
            let place = format!("in the configuration of the program that owns table {table}:");
            in_words(place, requirements, closing)
        }
        Unmanaged::Script(path) => script(path, requirements, closing),
        Unmanaged::Rules(place) => {
            in_words(format!("in {place}, before what refuses:"), requirements, closing)
        }
    }
}

/// `33001` or `33001:33100`.
fn colon(requirement: &Requirement) -> String {
    requirement.ports.to_string().replace('-', ":")
}

fn joined(nets: &[IpNet]) -> String {
    nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn of_family(requirement: &Requirement, v4: bool) -> Option<Vec<IpNet>> {
    let nets: Vec<IpNet> = requirement
        .peers
        .iter()
        .filter(|net| matches!(net, IpNet::V4(_)) == v4)
        .copied()
        .collect();
    let of_group = requirement
        .group
        .is_none_or(|group| matches!(group, IpNet::V4(_)) == v4);
    (of_group && (requirement.peers.is_empty() || !nets.is_empty())).then_some(nets)
}

fn csf(requirements: &[Requirement], closing: &[u16]) -> Vec<String> {
    let mut lines = vec![String::from(
        "/etc/csf/csf.conf, add to the lists that are there:",
    )];
    for (direction, protocol, names) in [
        (Direction::In, Protocol::Tcp, "TCP_IN and TCP6_IN"),
        (Direction::In, Protocol::Udp, "UDP_IN and UDP6_IN"),
        (Direction::Out, Protocol::Tcp, "TCP_OUT and TCP6_OUT"),
        (Direction::Out, Protocol::Udp, "UDP_OUT and UDP6_OUT"),
    ] {
        let mut ports: Vec<String> = requirements
            .iter()
            .filter(|r| r.direction == direction && r.protocol == protocol && r.peers.is_empty())
            .map(colon)
            .collect();
        ports.dedup();
        if !ports.is_empty() {
            lines.push(format!("  {names}: {}", ports.join(",")));
        }
    }
    let limited: Vec<&Requirement> = requirements.iter().filter(|r| !r.peers.is_empty()).collect();
    if !limited.is_empty() {
        lines.push(String::from("/etc/csf/csf.allow, new lines:"));
    }
    for requirement in limited {
        let (way, end) = match requirement.direction {
            Direction::In => ("in", "s"),
            Direction::Out => ("out", "d"),
        };
        let ports = requirement.ports.to_string().replace('-', "_");
        for net in &requirement.peers {
            lines.push(format!("  {}|{way}|d={ports}|{end}={net}", requirement.protocol));
        }
    }
    lines.push(String::from(
        "then: csf -r (with TESTING = \"0\", or it all goes away after minutes)",
    ));
    for port in closing {
        lines.push(format!(
            "last, after a login on the new port has worked: take {port} out of TCP_IN and TCP6_IN, then csf -r"
        ));
    }
    lines
}

fn shorewall(requirements: &[Requirement], closing: &[u16]) -> Vec<String> {
    let mut lines = Vec::new();
    for (v4, dir, check) in [
        (true, "/etc/shorewall", "shorewall"),
        (false, "/etc/shorewall6", "shorewall6"),
    ] {
        lines.push(format!("{dir}/rules, in the section NEW:"));
        for requirement in requirements {
            let Some(nets) = of_family(requirement, v4) else {
                continue;
            };
            let zone = match (nets.is_empty(), v4) {
                (true, _) => String::from("net"),
                (false, true) => format!("net:{}", joined(&nets)),
                (false, false) => format!("net:[{}]", joined(&nets)),
            };
            let (from, to) = match requirement.direction {
                Direction::In => (zone.as_str(), "$FW"),
                Direction::Out => ("$FW", zone.as_str()),
            };
            lines.push(format!(
                "  ACCEPT  {from}  {to}  {}  {}",
                requirement.protocol,
                colon(requirement)
            ));
        }
        lines.push(format!("then: {check} check && {check} safe-restart"));
    }
    for port in closing {
        lines.push(format!(
            "last, after a login on the new port has worked: in both files, take away what accepts TCP/{port} from net (SSH(ACCEPT) among it)"
        ));
    }
    lines
}

fn proxmox(requirements: &[Requirement], closing: &[u16], hostname: &str) -> Vec<String> {
    let node = hostname.split('.').next().unwrap_or(hostname);
    let mut lines = vec![format!(
        "/etc/pve/nodes/{node}/host.fw, below [RULES], at the top:"
    )];
    for requirement in requirements {
        let (way, end) = match requirement.direction {
            Direction::In => ("IN", "-source"),
            Direction::Out => ("OUT", "-dest"),
        };
        let nets = if requirement.peers.is_empty() {
            String::new()
        } else {
            format!(" {end} {}", joined(&requirement.peers))
        };
        lines.push(format!(
            "  {way} ACCEPT{nets} -p {} -dport {} -log nolog # {}",
            requirement.protocol,
            colon(requirement),
            requirement.id
        ));
    }
    lines.push(String::from(
        "then: pve-firewall compile (its daemon loads the rules within seconds)",
    ));
    for port in closing {
        lines.push(format!(
            "last, after a login on the new port has worked:   IN DROP -p tcp -dport {port}   (Proxmox lets its \
             management network in on 22 by itself, and only on 22)"
        ));
    }
    lines
}

fn openwrt(requirements: &[Requirement], closing: &[u16]) -> Vec<String> {
    let mut lines = vec![String::from("/etc/config/firewall, at the end:")];
    for requirement in requirements {
        let (zone, list) = match requirement.direction {
            Direction::In => ("option src 'wan'", "src_ip"),
            Direction::Out => ("option dest 'wan'", "dest_ip"),
        };
        lines.push(String::from("  config rule"));
        lines.push(format!("    option name 'faspwall-{}'", requirement.id));
        lines.push(format!("    {zone}"));
        lines.push(format!("    option proto '{}'", requirement.protocol));
        lines.push(format!("    option dest_port '{}'", requirement.ports));
        lines.extend(
            requirement
                .peers
                .iter()
                .map(|net| format!("    list {list} '{net}'")),
        );
        lines.push(String::from("    option target 'ACCEPT'"));
    }
    lines.push(String::from("then: fw4 check && service firewall reload"));
    for port in closing {
        lines.push(format!(
            "last, after a login on the new port has worked: take away the rule that accepts TCP/{port} from wan"
        ));
    }
    lines
}

fn script(path: &str, requirements: &[Requirement], closing: &[u16]) -> Vec<String> {
    let mut lines = vec![format!("{path}, at the end of the rules:")];
    for requirement in requirements {
        for (v4, program) in [(true, "iptables"), (false, "ip6tables")] {
            let Some(nets) = of_family(requirement, v4) else {
                continue;
            };
            let (chain, end) = match requirement.direction {
                Direction::In => ("INPUT", "-s"),
                Direction::Out => ("OUTPUT", "-d"),
            };
            let nets = if nets.is_empty() {
                String::new()
            } else {
                format!(" {end} {}", joined(&nets))
            };
            lines.push(format!(
                "  {program} -I {chain}{nets} -p {} --dport {} -j ACCEPT",
                requirement.protocol,
                colon(requirement)
            ));
        }
    }
    lines.push(String::from(
        "then: type the same lines once, or run the script from a console",
    ));
    for port in closing {
        lines.push(format!(
            "last, after a login on the new port has worked: take away what accepts TCP/{port}, in the script and from \
             the rules in force"
        ));
    }
    lines
}

fn in_words(place: String, requirements: &[Requirement], closing: &[u16]) -> Vec<String> {
    let mut lines = vec![place];
    for requirement in requirements {
        let nets = if requirement.peers.is_empty() {
            String::from("everyone")
        } else {
            joined(&requirement.peers)
        };
        let (verb, word) = match requirement.direction {
            Direction::In => ("let in", "from"),
            Direction::Out => ("let out", "to"),
        };
        lines.push(format!(
            "  {verb} {}/{} {word} {nets}",
            requirement.protocol.to_string().to_uppercase(),
            requirement.ports
        ));
    }
    for port in closing {
        lines.push(format!(
            "last, after a login on the new port has worked: refuse TCP/{port}"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::PortRange;

    fn requirement(protocol: Protocol, ports: &str, peers: &[&str]) -> Requirement {
        Requirement {
            id: String::from("fasp"),
            direction: Direction::In,
            protocol,
            ports: ports.parse::<PortRange>().expect("ports"),
            peers: peers.iter().map(|net| net.parse().expect("a network")).collect(),
            group: None,
            why: String::new(),
            source: String::new(),
        }
    }

    fn lines(which: &Unmanaged) -> String {
        let wanted = [
            requirement(Protocol::Tcp, "33001", &[]),
            requirement(Protocol::Udp, "33001-33100", &["192.0.2.0/24", "2001:db8::/32"]),
        ];
        by_hand(which, &wanted, &[22], "node1.example.org").join("\n")
    }

    #[test]
    fn the_ports_and_networks_of_the_plan_are_in_every_text() {
        for which in [
            Unmanaged::Csf,
            Unmanaged::Shorewall,
            Unmanaged::Proxmox,
            Unmanaged::OpenWrt,
            Unmanaged::Locked(String::from("inet guard")),
            Unmanaged::Script(String::from("/etc/rc.local")),
            Unmanaged::Rules(String::from("ferm")),
        ] {
            let text = lines(&which);
            for part in [
                "33001",
                "33100",
                "192.0.2.0/24",
                "2001:db8::/32",
                "22",
                "last, after a login",
            ] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }

    #[test]
    fn each_program_gets_its_own_language() {
        assert!(lines(&Unmanaged::Csf).contains("TCP_IN and TCP6_IN: 33001\n"));
        assert!(lines(&Unmanaged::Csf).contains("udp|in|d=33001_33100|s=192.0.2.0/24"));
        let shorewall = lines(&Unmanaged::Shorewall);
        assert!(shorewall.contains("ACCEPT  net:192.0.2.0/24  $FW  udp  33001:33100"));
        assert!(shorewall.contains("ACCEPT  net:[2001:db8::/32]  $FW  udp  33001:33100"));
        let proxmox = lines(&Unmanaged::Proxmox);
        assert!(proxmox.contains("/etc/pve/nodes/node1/host.fw"));
        assert!(proxmox.contains("IN ACCEPT -source 192.0.2.0/24,2001:db8::/32 -p udp -dport 33001:33100"));
        assert!(lines(&Unmanaged::OpenWrt).contains("option dest_port '33001-33100'"));
        let script = lines(&Unmanaged::Script(String::from("/etc/rc.local")));
        for part in [
            "/etc/rc.local, at",
            "  iptables -I INPUT -p tcp --dport 33001 -j ACCEPT\n",
            "  ip6tables -I INPUT -p tcp --dport 33001 -j ACCEPT\n",
            "  iptables -I INPUT -s 192.0.2.0/24 -p udp --dport 33001:33100 -j ACCEPT\n",
            "  ip6tables -I INPUT -s 2001:db8::/32 -p udp --dport 33001:33100 -j ACCEPT\n",
        ] {
            assert!(script.contains(part), "{part:?} in {script}");
        }
    }
}
