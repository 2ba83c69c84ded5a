//! Servers for SSH that are not moved here, and what to do by hand: from their own documentation (dropbear(8), Debian's
//! README of dropbear, OpenWrt's wiki, Microsoft's pages on OpenSSH for Windows). Debian's was tried on Debian 12 and 13.

use crate::facts::SshFacts;

/// Whether this server is moved here: OpenSSH on a Unix, or one that is not known.
pub fn is_moved_here(ssh: &SshFacts) -> bool {
    let daemon = ssh.daemon.to_ascii_lowercase();
    daemon.is_empty() || (daemon.contains("openssh") && !daemon.contains("windows"))
}

/// How another server comes to listen on a port, line by line. The old port stays at first: the firewall lets the new one
/// in only afterwards.
pub fn by_hand(daemon: &str, port: u16) -> Vec<String> {
    let daemon = daemon.to_ascii_lowercase();
    if daemon.contains("dropbear") {
        return vec![
            format!(
                "  Debian and Ubuntu: add -p {port} to DROPBEAR_EXTRA_ARGS in /etc/default/dropbear, then"
            ),
            String::from("    systemctl restart dropbear   (logins live on; DROPBEAR_PORT=22 stays for now)"),
            format!("  OpenWrt: uci add dropbear dropbear; uci set dropbear.@dropbear[-1].Port={port};"),
            String::from("    uci commit dropbear; service dropbear restart"),
            format!("  elsewhere:   dropbear -p {port}   starts a second one beside it"),
        ];
    }
    if daemon.contains("windows") {
        return vec![
            format!(
                "  Port {port} in %PROGRAMDATA%\\ssh\\sshd_config, above the first Match; keep Port 22 beside it at first,"
            ),
            String::from("    then, in PowerShell as administrator:   Restart-Service sshd"),
            format!(
                "  New-NetFirewallRule -Name ssh-{port} -DisplayName SSH -Protocol TCP -LocalPort {port} -Action Allow"
            ),
        ];
    }
    vec![format!(
        "  let it listen on TCP/{port} as well, by its own documentation, and log in there once"
    )]
}
