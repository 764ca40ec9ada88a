"""A door before a broker: the end of TLS, and of SASL's PLAIN (RFC 4616, KIP-43, KIP-152). The broker that the tests
have takes neither, so this plays that part, by the published protocol; what is asked behind the door is passed on to
the real one and back.

    broker_door.py BROKER_PORT DOOR_PORT CERTIFICATE KEY      the user is carnet, the password in DOOR_PASSWORD
"""

import os
import socket
import ssl
import struct
import sys
import threading

API_VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
FAILED, UNSUPPORTED = 58, 33


def take(stream, length):
    parts = b""
    while len(parts) < length:
        part = stream.recv(length - len(parts))
        if not part:
            raise OSError("the other side has closed")
        parts += part
    return parts


def frame(stream):
    head = take(stream, 4)
    return head + take(stream, struct.unpack(">i", head)[0])


def answer(correlation, body, flexible=False):
    body = struct.pack(">i", correlation) + (b"\0" if flexible else b"") + body
    return struct.pack(">i", len(body)) + body


def handshake(correlation, said):
    length = struct.unpack(">h", said[:2])[0]
    code = 0 if said[2:2 + length] == b"PLAIN" else UNSUPPORTED
    return answer(correlation, struct.pack(">hih", code, 1, 5) + b"PLAIN")


def authenticate(correlation, version, said, password):
    """Whether it is the user, and the answer. The message of a refusal repeats what was sent: clients must not."""
    if version >= 2:
        given = said[2:1 + said[1]]
    else:
        given = said[4:4 + struct.unpack(">i", said[:4])[0]]
    is_known = given == b"\0carnet\0" + password
    code, message = (0, b"") if is_known else (FAILED, b"refused: " + given)
    if version >= 2:
        body = struct.pack(">hB", code, len(message) + 1) + message + b"\1" + bytes(8) + b"\0"
        return is_known, answer(correlation, body, flexible=True)
    body = struct.pack(">hh", code, len(message)) + message + bytes(4) + (bytes(8) if version == 1 else b"")
    return is_known, answer(correlation, body)


def let_in(client, broker, password):
    while True:
        asked = frame(client)
        key, version, correlation, name = struct.unpack(">hhih", asked[4:14])
        said = asked[14 + max(0, name):]
        if key == API_VERSIONS:
            broker.sendall(asked)
            client.sendall(frame(broker))
        elif key == HANDSHAKE:
            client.sendall(handshake(correlation, said))
        elif key == AUTHENTICATE:
            is_known, told = authenticate(correlation, version, said, password)
            client.sendall(told)
            if is_known:
                return
        else:
            raise OSError("nobody has said who asks")


def pass_on(one, other):
    try:
        while part := one.recv(65536):
            other.sendall(part)
    except OSError:
        pass
    finally:
        for stream in (one, other):
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(raw, context, broker_port, password):
    try:
        with context.wrap_socket(raw, server_side=True) as client, \
                socket.create_connection(("127.0.0.1", broker_port)) as broker:
            let_in(client, broker, password)
            threading.Thread(target=pass_on, args=(client, broker), daemon=True).start()
            pass_on(broker, client)
    except OSError:
        pass  # a client that does not trust the certificate, or that left


def main():
    broker_port, port, certificate, key = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    password = os.environ["DOOR_PASSWORD"].encode()
    with socket.create_server(("127.0.0.1", int(port))) as server:
        while True:
            raw, _ = server.accept()
            threading.Thread(target=serve, args=(raw, context, int(broker_port), password), daemon=True).start()


if __name__ == "__main__":
    main()
