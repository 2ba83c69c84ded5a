# As installed; systemd holds the port of sshd.
# suites: 13
# owner: nftables
# default: accept
systemctl disable --now ssh.service
systemctl enable --now ssh.socket
