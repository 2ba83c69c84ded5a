# Everything that defeats a rule at the usual place: raw prerouting, netdev ingress, two input chains, dropped output.
# suites: 12 13
# owner: nftables
# default: reject
cat >/etc/nftables.conf <<'END'
flush ruleset
table netdev early {
	chain ingress {
		type filter hook ingress device "host0" priority -500; policy accept;
		tcp dport 33000-33999 counter drop
	}
}
table inet raw {
	chain prerouting {
		type filter hook prerouting priority raw; policy accept;
		udp dport 33001 drop
	}
}
table inet first {
	chain input {
		type filter hook input priority filter - 10; policy accept;
		tcp dport { 8080, 8443 } reject with tcp reset
	}
}
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iifname "lo" accept
		tcp dport 22 accept
		ip6 nexthdr icmpv6 accept
		counter reject with icmpx type admin-prohibited
	}
	chain output {
		type filter hook output priority filter; policy drop;
		ct state established,related accept
		oifname "lo" accept
		udp dport 53 accept
		ip6 nexthdr icmpv6 accept
	}
}
END
systemctl enable --now nftables.service
