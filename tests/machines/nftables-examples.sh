# The file that Debian ships, loaded at boot: three empty chains that accept.
# suites: 12
# owner: nftables
# default: accept
systemctl enable --now nftables.service
