# Shape 11: a hypervisor whose daemon writes its chains again every few seconds.
# suites: 12
# refuses: Proxmox
# default: drop
mkdir -p /etc/pve/firewall
printf '[OPTIONS]\nenable: 1\n' >/etc/pve/firewall/cluster.fw
iptables-nft-restore <<'END'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:PVEFW-Drop - [0:0]
:PVEFW-DropBroadcast - [0:0]
:PVEFW-HOST-IN - [0:0]
:PVEFW-INPUT - [0:0]
:PVEFW-SET-ACCEPT-MARK - [0:0]
-A INPUT -j PVEFW-INPUT
-A PVEFW-Drop -j PVEFW-DropBroadcast
-A PVEFW-Drop -p icmp -m icmp --icmp-type 3/4 -j ACCEPT
-A PVEFW-Drop -m conntrack --ctstate INVALID -j DROP
-A PVEFW-DropBroadcast -m addrtype --dst-type BROADCAST -j DROP
-A PVEFW-HOST-IN -i lo -j ACCEPT
-A PVEFW-HOST-IN -m conntrack --ctstate INVALID -j DROP
-A PVEFW-HOST-IN -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A PVEFW-HOST-IN -s 10.98.0.0/16 -p tcp -m tcp --dport 8006 -j RETURN
-A PVEFW-HOST-IN -s 10.98.0.0/16 -p tcp -m tcp --dport 22 -j RETURN
-A PVEFW-HOST-IN -j PVEFW-Drop
-A PVEFW-HOST-IN -j DROP
-A PVEFW-INPUT -j PVEFW-HOST-IN
-A PVEFW-INPUT -m comment --comment "PVESIG:pT8ZaGIg5MIGL3JxoWxv0fIhNwA"
-A PVEFW-SET-ACCEPT-MARK -j MARK --set-xmark 0x80000000/0x80000000
COMMIT
END
