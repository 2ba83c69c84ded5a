# firewalld in panic mode: everything is dropped.
# suites: 13
# refuses: panic
# default: drop
systemctl enable --now firewalld.service
n=0; until firewall-cmd --state 2>/dev/null; do n=$((n+1)); [ $n -lt 200 ]; sleep .1; done
firewall-cmd --panic-on
