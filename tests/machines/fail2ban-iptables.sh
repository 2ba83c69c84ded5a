# Shape 7: fail2ban with iptables: a jump at the top of INPUT with two bans; nothing else filters.
# suites: 13
# owner: nftables
# default: accept
iptables-nft -N f2b-sshd
iptables-nft -A f2b-sshd -s 192.0.2.66/32 -j REJECT --reject-with icmp-port-unreachable
iptables-nft -A f2b-sshd -s 198.51.100.7/32 -j REJECT --reject-with icmp-port-unreachable
iptables-nft -A f2b-sshd -j RETURN
iptables-nft -I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
