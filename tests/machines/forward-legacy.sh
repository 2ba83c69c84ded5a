# Legacy rules for FORWARD only, as a container engine makes them, and one ban in INPUT.
# suites: 12
# owner: nftables
# default: accept
iptables-legacy -P FORWARD DROP
iptables-legacy -N DOCKER-USER
iptables-legacy -A FORWARD -j DOCKER-USER
iptables-legacy -A DOCKER-USER -j RETURN
iptables-legacy -A INPUT -s 192.0.2.7/32 -j DROP
