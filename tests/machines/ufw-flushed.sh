# ufw is switched on, and somebody has flushed the ruleset.
# suites: 12 13
# owner: ufw
# default: accept
ufw allow 22/tcp
ufw --force enable
nft flush ruleset
