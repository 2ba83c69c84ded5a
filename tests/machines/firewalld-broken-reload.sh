# The ruleset was flushed under firewalld, which was then told to reload: only its emergency table is left.
# suites: 12
# refuses: firewalld_policy_drop
# default: drop
systemctl enable --now firewalld.service
n=0; until firewall-cmd --state 2>/dev/null; do n=$((n+1)); [ $n -lt 200 ]; sleep .1; done
nft flush ruleset
firewall-cmd --reload || true
nft list tables | grep -q firewalld_policy_drop
