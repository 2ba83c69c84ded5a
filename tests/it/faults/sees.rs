//! The judge itself: what it must see is seen.

use super::host::{Firewall, Host};
use super::watch::{LONGEST, Watch};

/// What a fault may leave, each with what takes it away: tables that only nft shows, links, copies, long files of the same
/// length, and what lives until the next boot.
const LEFT: [(&str, &str); 10] = [
    (
        "nft add table inet faspwall_bridge",
        "nft delete table inet faspwall_bridge",
    ),
    (
        "nft add table inet faspwall; nft add chain inet faspwall x; nft add rule inet faspwall x tcp dport 22 drop",
        "nft delete table inet faspwall",
    ),
    (
        "ln -s /nowhere /etc/systemd/system/multi-user.target.wants/faspwall-recover.service",
        "rm /etc/systemd/system/multi-user.target.wants/faspwall-recover.service",
    ),
    ("touch /etc/ssh/sshd_config.old", "rm /etc/ssh/sshd_config.old"),
    (
        "cp -a /etc/ssh/moduli /root/moduli; printf x | dd of=/etc/ssh/moduli conv=notrunc bs=1 seek=200000 2>&1",
        "cp -a /root/moduli /etc/ssh/moduli",
    ),
    (
        "mkdir -p /run/systemd/system/ssh.service.d; touch /run/systemd/system/ssh.service.d/x.conf",
        "rm -r /run/systemd/system/ssh.service.d",
    ),
    ("touch /run/faspwall/door-1.pid", "rm /run/faspwall/door-1.pid"),
    ("touch /etc/sysctl.d/x.conf", "rm /etc/sysctl.d/x.conf"),
    (
        "sysctl -qw net.ipv4.ip_local_reserved_ports=33001",
        "echo > /proc/sys/net/ipv4/ip_local_reserved_ports",
    ),
    ("touch /etc/cron.d/x", "rm /etc/cron.d/x"),
];

#[test]
fn whatever_is_left_on_a_host_is_seen_by_the_judge() {
    let host = Host::boot(Firewall::Ufw);
    let before = host.picture();
    for (leave, take) in LEFT {
        host.machine.sh(leave);
        assert_ne!(host.picture(), before, "after: {leave}");
        host.machine.sh(take);
        assert_eq!(host.picture(), before, "after: {take}");
    }
}

#[test]
fn a_door_that_is_shut_and_opened_again_is_seen_from_outside() {
    let host = Host::boot(Firewall::Nftables);
    let while_shut = |script: &str| {
        let watch = Watch::begin(&host.addresses);
        host.machine.sh(script);
        watch.end().0
    };
    let shut = "nft insert rule inet filter input tcp dport 22 drop; sleep 5; \
                nft delete rule inet filter input handle $(nft -a list chain inet filter input \
                | sed -n 's/.*tcp dport 22 drop.* handle //p')";
    let silence = while_shut(shut);
    assert!(silence > LONGEST, "{silence:?}");
    let silence = while_shut("sleep 2");
    assert!(silence < LONGEST, "{silence:?}");
}
