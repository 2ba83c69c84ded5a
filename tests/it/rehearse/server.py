"""Answers on every port that it is told, such as udp/33001, on both addresses of the server: what comes over TCP or UDP
goes back. A third part is another address, or a group to belong to. Prints "ready"."""
import select, socket, sys

sockets = []
for word in sys.argv[1:]:
    protocol, port, *addresses = word.split("/")
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    for address in addresses or ["10.9.8.7", "fd09::7"]:
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((address, int(port)))
        except OSError:
            continue  # sshd has it
        if address.startswith("224."):
            member = socket.inet_aton(address) + socket.inet_aton("10.9.8.7")
            s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        if kind == socket.SOCK_STREAM:
            s.listen(16)
        sockets.append((s, kind))
print("ready", flush=True)
kinds = {s: kind for s, kind in sockets}
kept = []
while True:
    for s in select.select(list(kinds), [], [])[0]:
        if kinds[s] == socket.SOCK_STREAM:
            kept.append(s.accept()[0])
        else:
            data, who = s.recvfrom(100)
            s.sendto(data, who)
