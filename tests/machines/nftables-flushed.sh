# Native rules that are loaded at boot, and somebody has flushed the ruleset since.
# suites: 12
# owner: nftables
# default: accept
cat >/etc/nftables.conf <<'END'
flush ruleset
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif lo accept
		tcp dport 22 accept
		meta l4proto ipv6-icmp accept
	}
}
END
systemctl enable --now nftables.service
nft flush ruleset
