# ufw was switched on and off again: its empty chains stay in the kernel.
# suites: 13
# owner: nftables
# default: accept
ufw allow 22/tcp
ufw --force enable
ufw --force disable
