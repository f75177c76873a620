"""Visits the servers that stdin names, a line "HOST PORT" each, trusting the root
in the file of the first argument and nothing else. Each is at a port of
127.0.0.1, and has to prove that it is HOST. For each prints a line: what it
served, or why it was refused."""

import socket
import ssl
import sys


def visit(context, host, port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        with context.wrap_socket(line, server_hostname=host) as secured:
            secured.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return secured.makefile("rb").read().decode()


context = ssl.create_default_context(cafile=sys.argv[1])
for line in sys.stdin:
    host, port = line.split()
    try:
        said = visit(context, host, int(port))
    except OSError as error:
        said = repr(error)
    print(" ".join(said.split()), flush=True)
