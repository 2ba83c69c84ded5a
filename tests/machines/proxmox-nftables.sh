# Shape 11: the same hypervisor's newer firewall, in tables of its own.
# suites: 13
# refuses: Proxmox
# default: drop
mkdir -p /etc/pve/firewall
printf '[OPTIONS]\nenable: 1\n' >/etc/pve/firewall/cluster.fw
nft -f - <<'END'
table inet proxmox-firewall {
	set v4-dc/management {
		type ipv4_addr
		flags interval
		elements = { 10.98.0.0/16 }
	}
	chain accept-management {
		ip saddr @v4-dc/management tcp dport { 22, 3128, 5900-5999, 8006 } accept
	}
	chain input {
		type filter hook input priority filter; policy accept;
		jump default-in
		jump host-in
		jump cluster-in
	}
	chain default-in {
		iifname "lo" accept
		jump accept-management
		ct state vmap { invalid : drop, established : accept, related : accept }
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
	}
	chain host-in { }
	chain cluster-in {
		drop
	}
}
END
