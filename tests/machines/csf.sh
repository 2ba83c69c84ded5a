# Shape 12: csf, INPUT and OUTPUT drop by policy, long lists of ports.
# suites: 12
# refuses: csf
# default: drop
mkdir -p /etc/csf
printf 'TESTING = "0"\nTCP_IN = "20,21,22,25,53,80,110,143,443,465,587,993,995"\nTCP_OUT = "20,21,22,25,53,80,110,113,443,587,993,995"\nUDP_IN = "20,21,53"\nUDP_OUT = "20,21,53,113,123"\n' >/etc/csf/csf.conf
iptables-nft-restore <<'END'
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT DROP [0:0]
:ALLOWIN - [0:0]
:ALLOWOUT - [0:0]
:DENYIN - [0:0]
:DENYOUT - [0:0]
:INVALID - [0:0]
:LOCALINPUT - [0:0]
:LOCALOUTPUT - [0:0]
:LOGDROPIN - [0:0]
:LOGDROPOUT - [0:0]
-A INPUT ! -i lo -j LOCALINPUT
-A INPUT -i lo -j ACCEPT
-A INPUT ! -i lo -p tcp -j INVALID
-A INPUT ! -i lo -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT ! -i lo -p tcp -m conntrack --ctstate NEW -m multiport --dports 20,21,22,25,53,80,110,143,443,465,587,993,995 -j ACCEPT
-A INPUT ! -i lo -p udp -m conntrack --ctstate NEW -m multiport --dports 20,21,53 -j ACCEPT
-A INPUT ! -i lo -p icmp -m icmp --icmp-type 8 -m limit --limit 1/sec -j ACCEPT
-A INPUT ! -i lo -j LOGDROPIN
-A OUTPUT ! -o lo -j LOCALOUTPUT
-A OUTPUT -o lo -j ACCEPT
-A OUTPUT ! -o lo -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A OUTPUT ! -o lo -p tcp -m conntrack --ctstate NEW -m multiport --dports 20,21,22,25,53,80,110,113,443,587,993,995 -j ACCEPT
-A OUTPUT ! -o lo -j LOGDROPOUT
-A DENYIN -s 192.0.2.66/32 ! -i lo -j DROP
-A INVALID -m conntrack --ctstate INVALID -j DROP
-A LOCALINPUT ! -i lo -j ALLOWIN
-A LOCALINPUT ! -i lo -j DENYIN
-A LOCALOUTPUT ! -o lo -j ALLOWOUT
-A LOCALOUTPUT ! -o lo -j DENYOUT
-A LOGDROPIN -p tcp -m limit --limit 30/min -j LOG --log-prefix "Firewall: *TCP_IN Blocked* "
-A LOGDROPIN -j DROP
-A LOGDROPOUT -p tcp -m limit --limit 30/min -j LOG --log-prefix "Firewall: *TCP_OUT Blocked* "
-A LOGDROPOUT -j REJECT --reject-with icmp-port-unreachable
COMMIT
END
