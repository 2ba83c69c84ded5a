# Shape 7: fail2ban with nftables: a ban set and a chain before the others; an admin's rules behind it.
# suites: 12
# owner: nftables
# default: drop
printf 'Port 22\nPort 33001\n' >/etc/ssh/sshd_config.d/ports.conf
systemctl reload ssh
nft -f - <<'END'
table inet f2b-table {
	set addr-set-sshd {
		type ipv4_addr
		elements = { 192.0.2.66, 198.51.100.7 }
	}
	set addr6-set-sshd {
		type ipv6_addr
		elements = { 2001:db8::bad }
	}
	chain f2b-chain {
		type filter hook input priority filter - 1; policy accept;
		tcp dport 22 ip saddr @addr-set-sshd reject with icmp port-unreachable
		tcp dport 22 ip6 saddr @addr6-set-sshd reject with icmpv6 port-unreachable
	}
}
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
