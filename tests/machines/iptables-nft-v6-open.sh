# iptables over nftables: IPv4 drops, IPv6 was forgotten.
# suites: 13
# owner: iptables
# default: drop
DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
dpkg --purge ufw
dpkg -i /opt/packages/*.deb
iptables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-nft -A INPUT -i lo -j ACCEPT
iptables-nft -A INPUT -p tcp -m multiport --dports 22,80,443 -j ACCEPT
iptables-nft -P INPUT DROP
mkdir -p /etc/iptables
iptables-save >/etc/iptables/rules.v4
ip6tables-save >/etc/iptables/rules.v6
systemctl enable netfilter-persistent
