//! Advice about what becomes of sshd's ports: who else uses them, and what is tied to them.

use super::{Advice, Case, Severity, socket_line};
use crate::answers::OLD_SSH_PORT;
use crate::facts::Activation;
use crate::plan::Port22;
use crate::port::{PortRange, Protocol};

/// FW020: outgoing connections may get the SSH port.
pub fn given_to_connections(case: &Case<'_>) -> Option<Advice> {
    case.plan.inbound_ssh()?;
    let port = case.plan.ssh_port;
    let local = case.facts.ssh.local_ports.as_ref()?;
    if !local.gives_away(port) {
        return None;
    }
    let (first, last) = local.range;
    let seen = format!(
        "net.ipv4.ip_local_port_range is {first} {last}, net.ipv4.ip_local_reserved_ports is \"{}\"",
        local.reserved
    );
    let what = format!(
        "TCP/{port} is one of the ports that this host gives to its own outgoing connections: one of them could hold it \
         while sshd starts anew, and sshd would not get it."
    );
    let moves = case.plan.move_sshd && !case.facts.ssh.ports.contains(&port);
    let list = local.reserved_with(&PortRange::single(port).into_iter().collect::<Vec<_>>());
    let text = match &local.overruled_by {
        None if moves && local.settable => format!(
            "{what} This change reserves it, at once and in a file of its own in /etc/sysctl.d, and an undo takes that back."
        ),
        Some(file) => format!(
            "{what} Reserve it in {}, which sets such ports already:   net.ipv4.ip_local_reserved_ports = {list}   and \
             load it:   sysctl -p {}",
            file.display(),
            file.display()
        ),
        None => format!(
            "{what} Reserve it:   sysctl -w net.ipv4.ip_local_reserved_ports={list}   and keep that setting in a file in \
             /etc/sysctl.d{}.",
            if local.settable {
                ""
            } else {
                ", on the machine that this one is a container of: /proc/sys is read-only here"
            }
        ),
    };
    Some(Advice::new("FW020", Severity::Note, text).seen([seen]))
}

/// FW021: restrictions of the present port do not hold on the new one.
pub fn restrictions_stay_behind(case: &Case<'_>) -> Option<Advice> {
    let tied = &case.facts.ssh.tied;
    if tied.is_empty() {
        return None;
    }
    let port = case.plan.ssh_port;
    let text = format!(
        "sshd's files restrict logins on its present port, and those lines do not hold on TCP/{port}: {}. Who is restricted \
         now would not be there. Write the same below   Match LocalPort {port}   as well, or accept FW021 on purpose.",
        tied.join("; ")
    );
    Some(Advice::new("FW021", Severity::Blocker, text).seen(tied.iter().cloned()))
}

/// FW022: another program than sshd serves TCP/22, which is to be shut.
pub fn others_on_port_22(case: &Case<'_>) -> Option<Advice> {
    if case.plan.port_22 == Port22::Keep || case.plan.ssh_port == OLD_SSH_PORT {
        return None;
    }
    let behind_socket = matches!(case.facts.ssh.activation, Activation::Socket(_));
    let others: Vec<_> = case
        .listeners(Protocol::Tcp, OLD_SSH_PORT)
        .filter(|socket| {
            let name = socket.program.as_deref().unwrap_or("sshd");
            let ours = name.starts_with("sshd") || (behind_socket && name == "systemd");
            !ours && socket.pid != case.facts.ssh.pid
        })
        .collect();
    let name = others.first()?.program.as_deref()?;
    let text = format!(
        "TCP/{OLD_SSH_PORT} is served by {name}, not by sshd alone: what this plan does to TCP/{OLD_SSH_PORT} it does to \
         {name} as well, whoever uses it. Leave the port open (legacy_22 = \"keep\"), let its users in (\"restrict\"), or \
         give {name} another port first."
    );
    Some(Advice::new("FW022", Severity::Note, text).seen(others.into_iter().map(socket_line)))
}
