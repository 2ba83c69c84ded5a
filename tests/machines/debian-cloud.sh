# Shape 8: a cloud image of Debian: the ruleset file with three empty chains, its service switched off.
# suites: 13
# owner: nftables
# default: accept
systemctl disable --now nftables.service
nft -f /etc/nftables.conf
