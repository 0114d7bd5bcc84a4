"""Certificates of every kind that an authority of ours does not make."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path


def self_signed(
    folder: Path, name: str, holds: tuple[datetime, datetime] | None = None
) -> tuple[Path, Path]:
    """Make a certificate that vouches for itself, for as long as it *holds*: ten years."""
    certificate, key, request = (folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
    settings = folder / "openssl.cnf"
    (folder / "index").touch()
    kind = "IP" if name[0].isdigit() else "DNS"
    settings.write_text(
        f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index\nnew_certs_dir={folder}\n"
        "default_md=sha256\nrand_serial=yes\npolicy=any\nx509_extensions=extensions\n"
        "[any]\ncommonName=supplied\n[req]\ndistinguished_name=any\n"
        f"[extensions]\nsubjectAltName={kind}:{name}\nbasicConstraints=CA:TRUE\n"
    )
    ends = ["-days", "3650"]
    if holds is not None:
        start, end = (each.strftime("%Y%m%d%H%M%SZ") for each in holds)
        ends = ["-startdate", start, "-enddate", end]
    for command in (
        [
            *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-config", settings, "-keyout", key, "-out", request, "-subj", f"/CN={name}"),
        ],
        [
            *("ca", "-selfsign", "-batch", "-notext", "-config", settings, "-keyfile", key),
            *("-in", request, "-out", certificate, *ends),
        ],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return certificate, key


def year(number: int) -> tuple[datetime, datetime]:
    """Return when a year begins and ends."""
    return datetime(number, 1, 1, tzinfo=UTC), datetime(number, 12, 31, tzinfo=UTC)


def signed_between(root: Path, root_key: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate for *name* that an authority signed which *root* signed."""
    folder = root.parent
    between, key, request = (folder / f"between.{end}" for end in ("pem", "key", "csr"))
    leaf, leaf_key, leaf_request = (folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
    extensions = folder / "between.cnf"
    extensions.write_text(
        "[req]\ndistinguished_name=name\n[name]\n[between]\nbasicConstraints=critical,CA:TRUE\n"
        "[leaf]\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n"
    )
    new = ("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    sign = ("x509", "-req", "-days", "1", "-extfile", extensions)
    for command in (
        (*new, "-config", extensions, "-keyout", key, "-out", request, "-subj", "/CN=between"),
        (
            *(*sign, "-extensions", "between", "-in", request, "-out", between, "-CA", root),
            *("-CAkey", root_key, "-set_serial", "1"),
        ),
        (
            *(*new, "-config", extensions, "-keyout", leaf_key, "-out", leaf_request),
            *("-subj", f"/CN={name}"),
        ),
        (
            *(*sign, "-extensions", "leaf", "-in", leaf_request, "-out", leaf, "-CA", between),
            *("-CAkey", key, "-set_serial", "2"),
        ),
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    leaf.write_bytes(leaf.read_bytes() + between.read_bytes())
    return leaf, leaf_key
