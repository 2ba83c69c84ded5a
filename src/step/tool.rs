//! The programs that a step may start.

use serde::{Deserialize, Serialize};

/// The closed list of programs that faspwall may start. There is no shell on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// nft(8), package nftables
    Nft,
    /// sshd(8), package openssh-server
    Sshd,
    /// ssh(1), package openssh-client; only in the lab
    Ssh,
    /// ssh-keygen(1), package openssh-client; only in the lab
    SshKeygen,
    /// systemctl(1)
    Systemctl,
    /// systemd-run(1)
    SystemdRun,
    /// systemd-detect-virt(1)
    SystemdDetectVirt,
    /// tmux(1), asked for its clients
    Tmux,
    /// wall(1), package bsdutils or util-linux
    Wall,
    /// ip(8), package iproute2
    Ip,
    /// Takes rights away from a program that it runs.
    Setpriv,
    /// unshare(1), package util-linux
    Unshare,
    /// nsenter(1), package util-linux
    Nsenter,
    /// mount(8), package mount or util-linux
    Mount,
    /// newuidmap(1), package uidmap; only in the lab of a plain user
    Newuidmap,
    /// newgidmap(1), package uidmap; only in the lab of a plain user
    Newgidmap,
    /// firewall-cmd(1), asked whether it runs
    FirewallCmd,
    /// ufw(8), asked whether it is active
    Ufw,
    /// What ufw's unit starts at boot, beside ufw's own files; only in a rehearsal
    UfwInit,
    /// iptables-save(8)
    IptablesSave,
    /// ip6tables-save(8)
    Ip6tablesSave,
    /// iptables-legacy-save(8), for tables that the kernel has already
    IptablesLegacySave,
    /// ip6tables-legacy-save(8), for tables that the kernel has already
    Ip6tablesLegacySave,
    /// iptables-nft-save(8), the variant that keeps its rules in nftables
    IptablesNftSave,
    /// ip6tables-nft-save(8)
    Ip6tablesNftSave,
    /// iptables-restore(8), where the variants have no names of their own
    IptablesRestore,
    /// ip6tables-restore(8)
    Ip6tablesRestore,
    /// iptables-nft-restore(8)
    IptablesNftRestore,
    /// ip6tables-nft-restore(8)
    Ip6tablesNftRestore,
    /// iptables-legacy-restore(8)
    IptablesLegacyRestore,
    /// ip6tables-legacy-restore(8)
    Ip6tablesLegacyRestore,
    /// firewall-offline-cmd(1), for the permanent configuration while the daemon is not running
    FirewallOfflineCmd,
    /// firewalld(1), started in a rehearsal on a bus of its own
    Firewalld,
    /// dbus-daemon(1), for that bus
    DbusDaemon,
    /// ipset(8), whose sets iptables rules may name
    Ipset,
    /// journalctl(1), read for failed logins
    Journalctl,
    /// semanage(8), package policycoreutils-python-utils: which ports SELinux lets sshd bind
    Semanage,
    /// fail2ban-client(1)
    Fail2banClient,
    /// ascp(1), asked for its version
    Ascp,
    /// faspwall itself, for the guard and the lab
    Faspwall,
}

impl Tool {
    /// The file name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Sshd => "sshd",
            Self::Ssh => "ssh",
            Self::SshKeygen => "ssh-keygen",
            Self::Systemctl => "systemctl",
            Self::SystemdRun => "systemd-run",
            Self::SystemdDetectVirt => "systemd-detect-virt",
            Self::Tmux => "tmux",
            Self::Setpriv => "setpriv",
            Self::Wall => "wall",
            Self::Ip => "ip",
            Self::Unshare => "unshare",
            Self::Nsenter => "nsenter",
            Self::Mount => "mount",
            Self::Newuidmap => "newuidmap",
            Self::Newgidmap => "newgidmap",
            Self::FirewallCmd => "firewall-cmd",
            Self::Ufw => "ufw",
            Self::UfwInit => "ufw-init",
            Self::IptablesSave => "iptables-save",
            Self::Ip6tablesSave => "ip6tables-save",
            Self::IptablesLegacySave => "iptables-legacy-save",
            Self::Ip6tablesLegacySave => "ip6tables-legacy-save",
            Self::IptablesNftSave => "iptables-nft-save",
            Self::Ip6tablesNftSave => "ip6tables-nft-save",
            Self::IptablesRestore => "iptables-restore",
            Self::Ip6tablesRestore => "ip6tables-restore",
            Self::IptablesNftRestore => "iptables-nft-restore",
            Self::Ip6tablesNftRestore => "ip6tables-nft-restore",
            Self::IptablesLegacyRestore => "iptables-legacy-restore",
            Self::Ip6tablesLegacyRestore => "ip6tables-legacy-restore",
            Self::FirewallOfflineCmd => "firewall-offline-cmd",
            Self::Firewalld => "firewalld",
            Self::DbusDaemon => "dbus-daemon",
            Self::Ipset => "ipset",
            Self::Journalctl => "journalctl",
            Self::Semanage => "semanage",
            Self::Fail2banClient => "fail2ban-client",
            Self::Ascp => "ascp",
            Self::Faspwall => "faspwall",
        }
    }

    /// The package that brings the program, Debian's name and, where it differs, that of the RPM world.
    pub fn package(self) -> &'static str {
        match self {
            Self::Nft => "nftables",
            Self::Sshd => "openssh-server",
            Self::Ssh | Self::SshKeygen => "openssh-client (openssh-clients)",
            Self::Systemctl | Self::SystemdRun | Self::SystemdDetectVirt | Self::Journalctl => "systemd",
            Self::Tmux => "tmux",
            Self::Wall => "bsdutils (util-linux)",
            Self::Ip => "iproute2 (iproute)",
            Self::Unshare | Self::Nsenter | Self::Setpriv => "util-linux",
            Self::Mount => "mount (util-linux)",
            Self::Newuidmap | Self::Newgidmap => "uidmap (shadow-utils)",
            Self::FirewallCmd | Self::FirewallOfflineCmd | Self::Firewalld => "firewalld",
            Self::DbusDaemon => "dbus-daemon",
            Self::Ufw | Self::UfwInit => "ufw",
            Self::Ipset => "ipset",
            Self::IptablesSave
            | Self::Ip6tablesSave
            | Self::IptablesLegacySave
            | Self::Ip6tablesLegacySave
            | Self::IptablesNftSave
            | Self::Ip6tablesNftSave
            | Self::IptablesRestore
            | Self::Ip6tablesRestore
            | Self::IptablesNftRestore
            | Self::Ip6tablesNftRestore
            | Self::IptablesLegacyRestore
            | Self::Ip6tablesLegacyRestore => "iptables",
            Self::Semanage => "policycoreutils-python-utils",
            Self::Fail2banClient => "fail2ban",
            Self::Ascp => "the Aspera product",
            Self::Faspwall => "faspwall",
        }
    }
}
