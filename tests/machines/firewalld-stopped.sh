# firewalld starts at boot and was stopped in order.
# suites: 12
# refuses: starts at boot
# default: accept
systemctl enable --now firewalld.service
n=0; until firewall-cmd --state 2>/dev/null; do n=$((n+1)); [ $n -lt 200 ]; sleep .1; done
systemctl stop firewalld.service
