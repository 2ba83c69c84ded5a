"""Asks ports: words such as tcp/33001/198.51.100.9, the last one being the address to come from. A fourth part is the
address to go to, if it is not the server's; it may be a group. Prints a verdict for each, in order: accept, reject or
drop."""
import concurrent.futures, errno, socket, sys


def ask(word):
    protocol, port, source, *to = word.split("/")
    v6 = ":" in source
    to = to[0] if to else "fd09::7" if v6 else "10.9.8.7"
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind)
    s.settimeout(1)
    s.bind((source, 0))
    try:
        if to.startswith("224."):
            # Whoever is in the group answers from an address of its own.
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
            s.sendto(b"are you there", (to, int(port)))
            s.recv(100)
            return "accept"
        s.connect((to, int(port)))
        if kind == socket.SOCK_DGRAM:
            s.send(b"are you there")
            s.recv(100)
        return "accept"
    except socket.timeout:
        # A refusal that came while connect() had the socket in its hands is kept aside.
        return "reject" if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) else "drop"
    except OSError as error:
        return "drop" if error.errno == errno.EPERM else "reject"


with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print("\n".join(pool.map(ask, sys.argv[1:])))
