# As installed: nothing filters.
# suites: 12 13
# owner: nftables
# default: accept
