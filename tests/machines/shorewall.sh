# Shorewall: chains that a compiler made, from zones and policies.
# suites: 12
# refuses: Shorewall
# default: drop
mkdir -p /etc/shorewall
printf 'STARTUP_ENABLED=Yes\n' >/etc/shorewall/shorewall.conf
cat >/etc/systemd/system/shorewall.service <<'END'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
END
systemctl daemon-reload
systemctl start shorewall.service
iptables-nft-restore <<'END'
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT DROP [0:0]
:dynamic - [0:0]
:fw-net - [0:0]
:logdrop - [0:0]
:net-fw - [0:0]
:sha-lh-4f6a8d1c2b - [0:0]
:sha-rh-9e3b7c5a10 - [0:0]
:shorewall - [0:0]
:smurfs - [0:0]
-A INPUT -i host0 -j net-fw
-A INPUT -i lo -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-port-unreachable
-A OUTPUT -o host0 -j fw-net
-A OUTPUT -o lo -j ACCEPT
-A fw-net -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A fw-net -j ACCEPT
-A net-fw -m conntrack --ctstate INVALID,NEW,UNTRACKED -j dynamic
-A net-fw -m conntrack --ctstate INVALID,NEW,UNTRACKED -j smurfs
-A net-fw -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A net-fw -p tcp -m multiport --dports 22,80 -m comment --comment "SSH and pages" -j ACCEPT
-A net-fw -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A net-fw -j DROP
-A smurfs -s 0.0.0.0/32 -j RETURN
-A smurfs -m addrtype --src-type BROADCAST -j DROP
COMMIT
END
