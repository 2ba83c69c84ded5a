"""Answers on every port that it is told, on all addresses: what comes over TCP or UDP goes back. Prints "ready"."""
import select, socket, sys

sockets = []
for word in sys.argv[1:]:
    protocol, port = word.split("/")
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    for family, address in (socket.AF_INET, "10.9.8.7"), (socket.AF_INET6, "fd09::7"):
        s = socket.socket(family, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((address, int(port)))
        except OSError:
            continue  # sshd has it
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
