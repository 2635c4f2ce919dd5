#!/usr/bin/python3
"""An NBD server of 8 MiB of 'A' on a unix socket, which lies: liar.py SOCKET LIE

    parts     a read is answered with its first half, and said to be done
    twice     extents are told twice in one answer: data, and then that all is zeroes
    all       it takes the connection and never says a word
    nothing   it tells the truth

Source of the words of the protocol: NBD's doc/proto.md.
"""
import os
import socket
import struct
import sys
import threading

SIZE = 8 << 20
OPTION_INFO, OPTION_GO, OPTION_STRUCTURED, OPTION_META = 6, 7, 8, 10
READ, DISCONNECT, STATUS = 0, 2, 7
ACK, INFO, META, UNKNOWN = 1, 3, 4, 0x80000001
DONE, ALL, DATA, EXTENTS = 1, 1, 1, 5


class Connection:
    """Of one client."""

    def __init__(self, peer, lie):
        self.peer, self.lie = peer, lie

    def take(self, form):
        wanted, got = struct.calcsize(form), b""
        while len(got) < wanted:
            part = self.peer.recv(wanted - len(got))
            if not part:
                raise EOFError
            got += part
        return struct.unpack(form, got)

    def send(self, form, *values, more=b""):
        self.peer.sendall(struct.pack(form, *values) + more)

    def agree(self):
        """The handshake."""
        self.send(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 3)
        self.take(">I")
        option = None
        while option != OPTION_GO:
            _, option, length = self.take(">8sII")
            self.take(f">{length}s")
            for kind, more in self.answers(option):
                self.send(">QIII", 0x3e889045565a9, option, kind, len(more), more=more)

    def answers(self, option):
        if option == OPTION_STRUCTURED:
            return [(ACK, b"")]
        if option == OPTION_META and self.lie == "twice":
            return [(META, struct.pack(">I", 1) + b"base:allocation"), (ACK, b"")]
        if option in (OPTION_INFO, OPTION_GO):
            return [(INFO, struct.pack(">HQH", 0, SIZE, 1 | 256)), (ACK, b"")]
        return [(UNKNOWN, b"")]

    def chunk(self, cookie, flags, kind, more=b""):
        self.send(">IHHQI", 0x668e33ef, flags, kind, cookie, len(more), more=more)

    def serve(self):
        if self.lie == "all":
            self.take(">Q")
        self.agree()
        while True:
            _, _, command, cookie, offset, length = self.take(">IHHQQI")
            if command == DISCONNECT:
                return
            if command == READ:
                n = length // 2 if self.lie == "parts" else length
                self.chunk(cookie, 0, DATA, struct.pack(">Q", offset) + b"A" * n)
                self.chunk(cookie, DONE, 0)
            if command == STATUS:
                self.chunk(cookie, 0, EXTENTS, struct.pack(">III", 1, length // 2, 0))
                self.chunk(cookie, DONE, EXTENTS, struct.pack(">III", 1, length // 2, 3))


def talk(peer, lie):
    with peer:
        try:
            Connection(peer, lie).serve()
        except (EOFError, OSError):
            pass


def main():
    path, lie = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path + ".new")
        listener.listen(8)
        os.rename(path + ".new", path)
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=talk, args=(peer, lie), daemon=True).start()


main()
