# ufw is switched on, and somebody has flushed the ruleset.
# suites: 13
# refuses: switched on
# default: accept
ufw allow 22/tcp
ufw --force enable
nft flush ruleset
