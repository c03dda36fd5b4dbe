"""Where does a test get an authority and a certificate that nobody else trusts?"""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_certificates(folder: Path) -> None:
    """Make `ca.pem`, and `server.pem` with `server.key` for loopback. Raises FileNotFoundError without openssl."""
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    for command in (
        f"req -x509 {new} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
        f"req {new} -keyout server.key -out server.csr -subj /CN=redis",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True, timeout=60)


def tls_options(folder: Path) -> dict[str, str]:
    """Return what a server's configuration says of them."""
    files = {"cert-file": "server.pem", "key-file": "server.key", "ca-cert-file": "ca.pem"}
    return {**{f"tls-{name}": str(folder / file) for name, file in files.items()}, "tls-auth-clients": "no"}
