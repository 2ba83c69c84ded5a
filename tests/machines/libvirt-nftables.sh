# Shape 5, new: virtual machines with a table of their own, and firewalld's zone for the bridge.
# suites: 13
# owner: firewalld
# default: reject
ip link add virbr0 type bridge
ip address add 192.168.122.1/24 dev virbr0
ip link set virbr0 up
systemctl enable --now firewalld.service
n=0; until firewall-cmd --state 2>/dev/null; do n=$((n+1)); [ $n -lt 200 ]; sleep .1; done
firewall-cmd --permanent --new-zone=guests
firewall-cmd --permanent --zone=guests --set-target=ACCEPT
firewall-cmd --permanent --zone=guests --add-interface=virbr0
firewall-cmd --permanent --zone=guests --add-rich-rule='rule priority="32767" reject'
firewall-cmd --reload
nft -f - <<'END'
table ip libvirt_network {
	chain forward {
		type filter hook forward priority filter; policy accept;
		counter jump guest_cross
		counter jump guest_input
		counter jump guest_output
	}
	chain guest_output {
		ip saddr 192.168.122.0/24 iif "virbr0" counter accept
		iif "virbr0" counter reject
	}
	chain guest_input {
		oif "virbr0" ip daddr 192.168.122.0/24 ct state established,related counter accept
		oif "virbr0" counter reject
	}
	chain guest_cross {
		iif "virbr0" oif "virbr0" counter accept
	}
	chain guest_nat {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 192.168.122.0/24 ip daddr 224.0.0.0/24 counter return
		ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 counter masquerade
	}
}
END
