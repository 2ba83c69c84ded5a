# Native rules that somebody loaded by hand: nothing brings them back.
# suites: 12
# owner: nftables
# default: drop
nft -f - <<'END'
table ip filter {
	chain INPUT_HAND {
		type filter hook input priority 0; policy drop;
		ct state established,related accept
		iif lo accept
		tcp dport 22 accept
	}
}
END
