"""Endpoints that are not what a person takes them for, each as a server on loopback."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"
EMPTY_LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as unused:
        unused.bind((LOOPBACK, 0))
        port: int = unused.getsockname()[1]
        return port


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that answers complete HTTP requests alone, and says nothing to a TLS handshake."""
    listener = socket.create_server((LOOPBACK, 0))
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            Thread(target=_answer_http, args=(connection,), daemon=True).start()
            held.append(connection)

    Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for connection in held:
            connection.close()


def _answer_http(connection: socket.socket) -> None:
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            piece = connection.recv(1024)
            if not piece:
                return
            received += piece
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        connection.close()
    except OSError:
        return


@contextmanager
def http_server(
    answer: Callable[[str, str], tuple[int, str, bytes]], certificate: Path | None = None
) -> Iterator[int]:
    """A server that gives ``answer(method, path)``: status, type and body; TLS if ``certificate``.

    The file has the key, too.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            status, content_type, body = answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _respond  # noqa: N815 - its names

        def log_message(self, *_arguments: object) -> None:
            """Print nothing."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_arguments: object) -> None:
            """Print nothing of clients that give up."""

    server = Quiet((LOOPBACK, 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read_only_s3(status: int, code: str) -> Callable[[str, str], tuple[int, str, bytes]]:
    """The answers of an empty S3 that refuses every write with an error."""

    def answer(method: str, path: str) -> tuple[int, str, bytes]:
        refused, missing = (
            f"<Error><Code>{name}</Code><Message>m</Message></Error>".encode()
            for name in (code, "NoSuchKey")
        )
        if method in ("PUT", "POST"):
            return status, "application/xml", refused
        if method == "GET" and "list-type" in path:
            return 200, "application/xml", EMPTY_LISTING
        if method == "HEAD" and path.count("/") == 1:
            return 200, "application/xml", b""
        return 404, "application/xml", missing

    return answer


def self_signed(folder: Path) -> Path:
    """A file with the key and the certificate of a server on loopback that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, LOOPBACK)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
