# Native rules of an admin, loaded at boot, with a counter, a set and a limit.
# suites: 12 13
# owner: nftables
# default: drop
printf 'Port 22\nPort 33001\n' >/etc/ssh/sshd_config.d/ports.conf
systemctl reload ssh
cat >/etc/nftables.conf <<'END'
#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	set admins {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8, 192.0.2.0/24 }
	}
	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iif lo accept
		ip saddr @admins tcp dport 9090 accept comment "cockpit"
		tcp dport { 22, 80 } counter accept
		icmp type echo-request limit rate 5/second accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, echo-request } accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
	chain output {
		type filter hook output priority filter; policy accept;
	}
}
END
systemctl enable --now nftables.service
