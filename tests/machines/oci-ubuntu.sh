# Shape 1: a cloud image whose INPUT chain accepts by policy and ends with REJECT; storage rules in OUTPUT; no IPv6 rules.
# suites: 12
# owner: iptables
# default: reject
printf 'Port 22\nPort 33001\n' >/etc/ssh/sshd_config.d/ports.conf
systemctl reload ssh
DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
dpkg --purge ufw
dpkg -i /opt/packages/*.deb
mkdir -p /etc/iptables
cat >/etc/iptables/rules.v4 <<'END'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [463:49013]
:InstanceServices - [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp --sport 123 -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A OUTPUT -d 169.254.0.0/16 -j InstanceServices
-A InstanceServices -d 169.254.0.2/32 -p tcp -m owner --uid-owner 0 -m tcp --dport 3260 -m comment --comment "volumes of the machine, do not touch" -j ACCEPT
-A InstanceServices -d 169.254.169.254/32 -p udp -m udp --dport 53 -j ACCEPT
-A InstanceServices -d 169.254.0.0/16 -p tcp -m tcp -j REJECT --reject-with tcp-reset
-A InstanceServices -d 169.254.0.0/16 -p udp -m udp -j REJECT --reject-with icmp-port-unreachable
COMMIT
END
iptables-nft-restore </etc/iptables/rules.v4
systemctl enable netfilter-persistent
