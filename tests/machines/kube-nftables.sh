# Shape 6: kube-proxy in a table of its own with verdict maps; the admin's chain accepts by policy.
# suites: 13
# owner: nftables
# default: accept
nft -f - <<'END'
table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
	}
}
table ip kube-proxy {
	comment "rules for kube-proxy"
	set cluster-ips {
		type ipv4_addr
		comment "Active ClusterIPs"
		elements = { 10.96.0.1, 10.96.0.10 }
	}
	map service-ips {
		type ipv4_addr . inet_proto . inet_service : verdict
		comment "ClusterIP, ExternalIP and LoadBalancer IP traffic"
		elements = { 10.96.0.1 . tcp . 443 : goto service-2QRHZV4L-default/kubernetes/tcp/https }
	}
	map no-endpoint-services {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { 10.96.0.99 . tcp . 80 : goto reject-chain }
	}
	chain filter-input {
		type filter hook input priority -110; policy accept;
		ct state new jump nodeport-endpoints-check
		ct state new jump service-endpoints-check
	}
	chain filter-output {
		type filter hook output priority -110; policy accept;
		ct state new jump service-endpoints-check
	}
	chain nat-prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		jump services
	}
	chain nat-postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x00004000 != 0 masquerade fully-random
	}
	chain nodeport-endpoints-check { }
	chain service-endpoints-check {
		ip daddr . meta l4proto . th dport vmap @no-endpoint-services
	}
	chain services {
		ip daddr . meta l4proto . th dport vmap @service-ips
	}
	chain reject-chain {
		reject
	}
	chain service-2QRHZV4L-default/kubernetes/tcp/https {
		ip saddr != 10.244.0.0/16 ip daddr 10.96.0.1 tcp dport 443 meta mark set meta mark | 0x4000
		meta l4proto tcp dnat to 10.98.0.10:6443
	}
}
END
