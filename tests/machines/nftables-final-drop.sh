# Shape 9: chains that accept by policy and end with a rule that drops, in the style of nftables' own examples.
# suites: 12
# owner: nftables
# default: drop
nft -f - <<'END'
table inet filter {
	chain global {
		ct state established,related accept
		ct state invalid drop
		ip protocol icmp accept
		ip6 nexthdr icmpv6 accept
		udp dport 53 accept
	}
	chain input {
		type filter hook input priority 0; policy accept;
		iif lo accept
		jump global
		tcp dport { 22, 80, 443 } ct state new accept
		udp dport mdns ip daddr 224.0.0.251 accept
		counter packets 0 bytes 0 log prefix "input dropped: " drop
	}
}
END
