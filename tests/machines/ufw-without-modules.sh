# Shape 15: ufw where the kernel took its policies and none of its rules: empty chains behind a DROP.
# suites: 12
# owner: ufw
# default: drop
# Its own rule files become empty, as if every match had been refused.
for file in before after before6 after6; do
    sed -i '/^-A/d' /etc/ufw/$file.rules
done
ufw --force enable
