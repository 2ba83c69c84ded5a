# ufw, switched on.
# suites: 12 13
# owner: ufw
# default: drop
ufw allow 22/tcp
ufw --force enable
systemctl enable ufw.service
