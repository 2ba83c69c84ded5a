# iptables, the legacy variant, chosen as the alternative: INPUT drops by policy, kept for the next boot.
# suites: 12 13
# owner: iptables
# default: drop
printf 'Port 22\nPort 33001\n' >/etc/ssh/sshd_config.d/ports.conf
systemctl reload ssh
DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
dpkg --purge ufw
dpkg -i /opt/packages/*.deb
update-alternatives --set iptables /usr/sbin/iptables-legacy
update-alternatives --set ip6tables /usr/sbin/ip6tables-legacy
mkdir -p /etc/iptables
for tool in iptables ip6tables; do
    $tool -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
    $tool -A INPUT -i lo -j ACCEPT
    $tool -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
done
iptables -A INPUT -p icmp -j ACCEPT
ip6tables -A INPUT -p ipv6-icmp -j ACCEPT
iptables -P INPUT DROP
ip6tables -P INPUT DROP
iptables-save >/etc/iptables/rules.v4
ip6tables-save >/etc/iptables/rules.v6
systemctl enable netfilter-persistent
