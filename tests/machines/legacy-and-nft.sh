# Both variants of iptables after an upgrade: the old one still drops, the new one was filled beside it.
# suites: 12
# owner: iptables
# default: drop
for tool in iptables-legacy ip6tables-legacy; do
    $tool -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
    $tool -A INPUT -i lo -j ACCEPT
    $tool -A INPUT -p tcp --dport 22 -j ACCEPT
    $tool -P INPUT DROP
done
ip6tables-legacy -I INPUT -p ipv6-icmp -j ACCEPT
for tool in iptables-nft ip6tables-nft; do
    $tool -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    $tool -A INPUT -i lo -j ACCEPT
    $tool -A INPUT -p tcp -m multiport --dports 22,33001 -j ACCEPT
    $tool -A INPUT -p udp --dport 33001 -j ACCEPT
done
ip6tables-nft -A INPUT -p ipv6-icmp -j ACCEPT
iptables-nft -A INPUT -j REJECT
ip6tables-nft -A INPUT -j REJECT
