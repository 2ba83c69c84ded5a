# ufw with a rule of the admin in before.rules that drops what ufw allows.
# suites: 13
# owner: ufw
# default: drop
sed -i '/^# quickly process packets/i -A ufw-before-input -p tcp --dport 33001 -j DROP' /etc/ufw/before.rules
ufw allow 22/tcp
ufw allow 33001/tcp
ufw --force enable
