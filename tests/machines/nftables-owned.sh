# A table that belongs to a running process (flag owner): nobody else may change it.
# suites: 13
# refuses: locked
# default: drop
mkfifo /run/hold
(nft -i </run/hold >/run/held.out 2>&1) &
exec 9>/run/hold
printf 'add table inet held { flags owner; }\nadd chain inet held input { type filter hook input priority 5; policy drop; }\nadd rule inet held input ct state established,related accept\nadd rule inet held input iif lo accept\nadd rule inet held input tcp dport 22 accept\nadd rule inet held input meta l4proto ipv6-icmp accept\n' >&9
n=0; until nft list table inet held 2>/dev/null | grep -q ipv6-icmp; do n=$((n+1)); [ $n -lt 100 ]; sleep .1; done
(sleep 60 >&9 2>/dev/null &)
