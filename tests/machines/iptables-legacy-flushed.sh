# Legacy tables that are registered in the kernel and have no rules.
# suites: 12
# owner: nftables
# default: accept
iptables-legacy -A INPUT -p tcp --dport 22 -j ACCEPT
ip6tables-legacy -A INPUT -p tcp --dport 22 -j ACCEPT
iptables-legacy -F
ip6tables-legacy -F
