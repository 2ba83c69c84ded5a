# Shape 2: firewalld of a cloud image with passed-through rules in direct.xml.
# suites: 12
# owner: firewalld
# default: reject
cat >/etc/firewalld/direct.xml <<'END'
<?xml version="1.0" encoding="utf-8"?>
<direct>
  <chain ipv="ipv4" table="filter" chain="BareMetalInstanceServices"/>
  <rule ipv="ipv4" table="filter" chain="OUTPUT" priority="0">-d 169.254.0.0/16 -j BareMetalInstanceServices</rule>
  <rule ipv="ipv4" table="filter" chain="BareMetalInstanceServices" priority="0">-d 169.254.0.2/32 -p tcp -m owner --uid-owner 0 -m tcp --dport 3260 -j ACCEPT</rule>
  <rule ipv="ipv4" table="filter" chain="BareMetalInstanceServices" priority="1">-d 169.254.0.0/16 -p tcp -j REJECT --reject-with tcp-reset</rule>
  <passthrough ipv="ipv4">-A INPUT -s 169.254.0.2/32 -p tcp --sport 3260 -j ACCEPT</passthrough>
</direct>
END
systemctl enable --now firewalld.service
n=0; until firewall-cmd --state 2>/dev/null; do n=$((n+1)); [ $n -lt 200 ]; sleep .1; done
