# ufw with an older deny of a port that is wanted, a limit, rules with sources, a comment, an application profile.
# suites: 12 13
# owner: ufw
# default: drop
cat >/etc/ufw/applications.d/site <<'END'
[Site]
title=The site
description=Web pages
ports=80,443/tcp
END
ufw limit 22/tcp
ufw deny 33001/tcp
ufw allow from 192.0.2.0/24 to any port 5432 proto tcp comment 'database of the office'
ufw allow from 2001:db8::/32 to any port 5432 proto tcp
ufw allow Site
ufw reject out 25/tcp
ufw --force enable
systemctl enable ufw.service
