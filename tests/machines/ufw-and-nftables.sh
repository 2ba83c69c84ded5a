# ufw, and beside it a native chain that drops as well.
# suites: 13
# owner: ufw
# also: nftables
# default: drop
ufw allow 22/tcp
ufw --force enable
nft -f - <<'END'
table inet site {
	chain input {
		type filter hook input priority filter - 5; policy drop;
		ct state established,related accept
		iif lo accept
		tcp dport { 22, 80 } accept
		meta l4proto ipv6-icmp accept
	}
}
END
