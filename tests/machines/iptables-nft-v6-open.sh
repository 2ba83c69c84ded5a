# iptables over nftables: IPv4 drops, IPv6 was forgotten.
# suites: 13
# owner: iptables
# default: drop
iptables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-nft -A INPUT -i lo -j ACCEPT
iptables-nft -A INPUT -p tcp -m multiport --dports 22,80,443 -j ACCEPT
iptables-nft -P INPUT DROP
