# firewalld runs, and somebody has flushed the ruleset.
# suites: 12
# refuses: not in the kernel
# default: accept
systemctl enable --now firewalld.service
n=0; until firewall-cmd --state 2>/dev/null; do n=$((n+1)); [ $n -lt 200 ]; sleep .1; done
nft flush ruleset
