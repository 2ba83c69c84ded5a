# ufw over the legacy variant of iptables.
# suites: 12
# owner: ufw
# default: drop
update-alternatives --set iptables /usr/sbin/iptables-legacy
update-alternatives --set ip6tables /usr/sbin/ip6tables-legacy
ufw allow 22/tcp
ufw --force enable
