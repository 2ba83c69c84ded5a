# iptables over nftables after iptables -F: its tables are there, empty and accepting.
# suites: 13
# owner: nftables
# default: accept
iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT
iptables-nft -P INPUT DROP
iptables-nft -P INPUT ACCEPT
iptables-nft -F
