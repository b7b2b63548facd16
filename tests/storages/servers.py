"""Storage servers for the tests, each in a process of its own: ``python servers.py KIND FOLDER``.

A server prints its port, and runs until its standard input is closed. The S3 server writes the
method and the path of each request to ``FOLDER/requests``.
"""

from __future__ import annotations

import asyncio
import functools
import http.server
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

USER, PASSWORD = "joe", "SECRETPW"


def ftp(folder: Path) -> Any:
    """FTP, by pyftpdlib."""
    from pyftpdlib.authorizers import DummyAuthorizer  # noqa: PLC0415
    from pyftpdlib.handlers import FTPHandler  # noqa: PLC0415
    from pyftpdlib.servers import ThreadedFTPServer  # noqa: PLC0415

    class Handler(FTPHandler):  # type: ignore[misc]  # pyftpdlib has no types
        authorizer = DummyAuthorizer()
        timeout = 3  # s, after which an idle connection is ended

    Handler.authorizer.add_user(USER, PASSWORD, str(folder), perm="elradfmwMT")
    server = ThreadedFTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.address[1]


def sftp(folder: Path) -> Any:
    """SFTP, by asyncssh."""
    import asyncssh  # noqa: PLC0415

    class Server(asyncssh.SSHServer):  # type: ignore[misc]
        def begin_auth(self, username: str) -> bool:  # noqa: ARG002
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

    ports: list[int] = []
    started = threading.Event()

    async def serve() -> None:
        server = await asyncssh.listen(
            "127.0.0.1", 0,
            server_factory=Server,
            login_timeout=3,  # s, since paramiko keeps a connection whose login was rejected
            server_host_keys=[asyncssh.generate_private_key("ssh-rsa")],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=bytes(folder)),
        )  # fmt: skip
        ports.append(server.get_port())
        started.set()
        await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    started.wait()
    return ports[0]


def s3(folder: Path) -> Any:
    """S3, by moto; it keeps everything in memory."""
    from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415

    application = DomainDispatcherApplication(create_backend_app)
    requests = (folder / "requests").open("a")

    def recorded(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        query = environ.get("QUERY_STRING")
        where = environ["PATH_INFO"] + (f"?{query}" if query else "")
        requests.write(f"{environ['REQUEST_METHOD']} {where}\n")
        requests.flush()
        return application(environ, start)

    server = make_server("127.0.0.1", 0, recorded, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def gcs(folder: Path) -> Any:  # noqa: ARG001  # as the others
    """Google Cloud Storage, by gcp-storage-emulator; it keeps everything in memory."""
    from gcp_storage_emulator.server import create_server  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    create_server("127.0.0.1", port, in_memory=True).start()
    return port


def web(folder: Path) -> Any:
    """Files over HTTP, by Python's own server."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def webdav(folder: Path) -> Any:
    """WebDAV, by WsgiDAV and Cheroot."""
    from cheroot.wsgi import Server  # noqa: PLC0415
    from wsgidav.wsgidav_app import WsgiDAVApp  # noqa: PLC0415

    users = {"*": {USER: {"password": PASSWORD}}}
    application = WsgiDAVApp(
        {
            "provider_mapping": {"/": str(folder)},
            "simple_dc": {"user_mapping": users},
            "http_authenticator": {"accept_basic": True, "accept_digest": False},
            "lock_storage": True,
            "verbose": 0,
            "logging": {"enable": False},
        }
    )
    server = Server(("127.0.0.1", 0), application)
    server.prepare()
    threading.Thread(target=server.serve, daemon=True).start()
    return server.bind_addr[1]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    kind, place = sys.argv[1:]
    kinds = {"ftp": ftp, "gcs": gcs, "s3": s3, "sftp": sftp, "web": web, "webdav": webdav}
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  # they log each request
    port = kinds[kind](Path(place))
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # the servers' threads would go on
