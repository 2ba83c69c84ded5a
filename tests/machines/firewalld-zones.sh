# firewalld: the interface in a zone that is not the default, a zone bound to a source, rich rules of all priorities.
# suites: 12
# owner: firewalld
# default: reject
systemctl enable --now firewalld.service
n=0; until firewall-cmd --state 2>/dev/null; do n=$((n+1)); [ $n -lt 200 ]; sleep .1; done
firewall-cmd --permanent --zone=internal --change-interface=host0
firewall-cmd --permanent --zone=internal --add-service=http
firewall-cmd --permanent --zone=drop --add-source=198.51.100.0/24
firewall-cmd --permanent --zone=internal --add-rich-rule='rule priority="-10" port port="33001" protocol="tcp" reject'
firewall-cmd --permanent --zone=internal --add-rich-rule='rule family="ipv4" source address="192.0.2.0/24" service name="mysql" accept'
firewall-cmd --permanent --zone=internal --add-rich-rule='rule priority="100" protocol value="gre" drop'
firewall-cmd --permanent --new-zone=office
firewall-cmd --permanent --zone=office --add-source=10.0.0.0/8
firewall-cmd --permanent --zone=office --add-port=9090/tcp
firewall-cmd --reload
firewall-cmd --zone=internal --add-port=8888/tcp
