# As installed, looked at by somebody who is not root.
# suites: 12
# user: joe
# refuses: sudo
useradd -m -s /bin/sh joe
