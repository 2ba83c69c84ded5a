# iptables, the variant over nftables: an INPUT chain that ends with REJECT, kept for the next boot.
# suites: 12 13
# owner: iptables
# default: reject
printf 'Port 22\nPort 33001\n' >/etc/ssh/sshd_config.d/ports.conf
systemctl reload ssh
DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
dpkg --purge ufw
dpkg -i /opt/packages/*.deb
update-alternatives --set iptables /usr/sbin/iptables-nft
update-alternatives --set ip6tables /usr/sbin/ip6tables-nft
mkdir -p /etc/iptables
for tool in iptables ip6tables; do
    $tool -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    $tool -A INPUT -i lo -j ACCEPT
    $tool -A INPUT -p tcp -m tcp --dport 22 -m comment --comment "admins only by key" -j ACCEPT
done
iptables -A INPUT -p icmp -j ACCEPT
ip6tables -A INPUT -p ipv6-icmp -j ACCEPT
iptables -A INPUT -j REJECT --reject-with icmp-host-prohibited
ip6tables -A INPUT -j REJECT --reject-with icmp6-adm-prohibited
iptables-save >/etc/iptables/rules.v4
ip6tables-save >/etc/iptables/rules.v6
systemctl enable netfilter-persistent
