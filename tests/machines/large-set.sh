# Native rules with a set of 600 addresses and its timeouts.
# suites: 13
# owner: nftables
# default: drop
{
    echo 'table inet filter {'
    echo 'set blocked { type ipv4_addr; flags timeout; elements = {'
    i=0
    while [ $i -lt 600 ]; do
        echo "198.18.$((i / 250)).$((i % 250)) timeout 1d,"
        i=$((i + 1))
    done
    echo '}'
    echo '}'
    echo 'chain input { type filter hook input priority 0; policy drop;'
    echo 'ct state established,related accept'
    echo 'iif lo accept'
    echo 'ip saddr @blocked drop'
    echo 'tcp dport 22 accept'
    echo 'meta l4proto ipv6-icmp accept'
    echo '}'
    echo '}'
} | nft -f -
