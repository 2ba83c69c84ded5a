# firewalld was killed: its table still filters, and nobody answers for it.
# suites: 12
# refuses: does not run
# default: reject
systemctl enable --now firewalld.service
n=0; until firewall-cmd --state 2>/dev/null; do n=$((n+1)); [ $n -lt 200 ]; sleep .1; done
mkdir -p /run/systemd/system/firewalld.service.d
printf '[Service]\nRestart=no\n' >/run/systemd/system/firewalld.service.d/test.conf
systemctl daemon-reload
kill -9 "$(systemctl show -p MainPID --value firewalld.service)"
n=0; while systemctl is-active -q firewalld.service; do n=$((n+1)); [ $n -lt 100 ]; sleep .1; done
