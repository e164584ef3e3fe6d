"""Who signs: a certificate chain and its private key, the user's own or one that mien makes for itself once.

C2PA signs with an end-entity certificate that some authority issued (C2PA 2.2, section 14.5), so the self-made
credential is two certificates: a root that signed one leaf and was forgotten, and that leaf. Nobody's trust list holds
the root: a reader says "intact, signer unknown". The names in it tell nothing of the machine or its user, yet the
serial number is the same on all pictures signed with it; without the folder, mien makes another.
"""

from __future__ import annotations

import datetime
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from mien.core.errors import RequestError
from mien.core.files import write_bytes

CERTIFICATE, KEY = "certificate.pem", "key.pem"
VARIABLE = "MIEN_CREDENTIALS"
VALID_DAYS = 3650
LOCK_SECONDS = 20
ORGANISATION = "mien"  # a signer without an organisation is refused by some readers
log = logging.getLogger("mien.provenance")
LEAF_NAME = "mien, self-made certificate"


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate chain (PEM, leaf first) and the leaf's private key (PEM, PKCS 8)."""

    certificates: bytes
    key: bytes

    def __repr__(self) -> str:  # the key must not stand in a log
        return f"Credential({len(self.certificates)} bytes of certificates)"


def own_folder() -> Path:
    """Where the self-made credential lies: ``credentials`` in the user's configuration of mien.

    ``FileNotFoundError`` for a user without a home directory (a container's, a service's).
    """
    try:
        return Path(platformdirs.user_config_dir("mien")) / "credentials"
    except RuntimeError as error:
        raise FileNotFoundError(str(error)) from error


def credential(folder: str | os.PathLike[str] | None = None) -> Credential:
    """The credential of ``folder``, of ``$MIEN_CREDENTIALS``, or the self-made one, which the first use makes.

    ``RequestError`` for a folder named by the user without ``certificate.pem`` and ``key.pem``. Where the user's
    configuration cannot be written, the self-made one lasts as long as the process. A self-made one that was emptied,
    cut off, or is of two halves is set aside as ``damaged-...`` and made anew, with a warning.
    """
    given = folder or os.environ.get(VARIABLE)
    if given:
        return read(Path(given).expanduser(), "--credentials" if folder else VARIABLE)
    try:
        place = own_folder()
        return _whole(place) or _make_once(place)
    except (OSError, Timeout):
        return self_made()


def _whole(place: Path) -> Credential | None:
    """The credential that lies there as it was made: a leaf in its time, its root, and the key of the leaf."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    now = datetime.datetime.now(datetime.UTC)
    try:
        found = read(place, str(place))
        leaf, root = x509.load_pem_x509_certificates(found.certificates)
        for one in (leaf, root):
            one.verify_directly_issued_by(root)
        written = b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, root))
        own = load_pem_private_key(found.key, None).public_key() == leaf.public_key()
        if own and written == found.certificates and leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            return found
    except (RequestError, ValueError, TypeError, InvalidSignature):
        pass
    return None


def read(folder: Path, option: str) -> Credential:
    """The credential in a folder; ``RequestError`` names the ``option`` and the file that is wanted."""
    parts = []
    for name, start in ((CERTIFICATE, b"-----BEGIN CERTIFICATE-----"), (KEY, b"-----BEGIN")):
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            message = (
                f"{option}: {folder / name} cannot be read ({error.strerror}); wanted: {CERTIFICATE} and {KEY}, PEM"
            )
            raise RequestError(message) from error
        if start not in data:
            raise RequestError(f"{option}: {folder / name} is not PEM; wanted: {CERTIFICATE} (leaf first) and {KEY}")
        parts.append(data)
    return Credential(*parts)


def self_made() -> Credential:
    """A new root, and a leaf that it issued for signing (ES256: ECDSA over P-256)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, leaf_name = _name(f"{LEAF_NAME}: root"), _name(LEAF_NAME)
    root_id = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    root = _certificate(
        subject=root_name,
        issuer=root_name,
        public=root_key.public_key(),
        signer=root_key,
        extensions=[(x509.BasicConstraints(True, 0), True), (_usage(root=True), True), (root_id, False)],
    )
    leaf = _certificate(
        subject=leaf_name,
        issuer=root_name,
        public=leaf_key.public_key(),
        signer=root_key,
        extensions=[
            (x509.BasicConstraints(False, None), True),
            (_usage(root=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
            (x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_id), False),
        ],
    )
    pem = serialization.Encoding.PEM
    key = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Credential(leaf.public_bytes(pem) + root.public_bytes(pem), key)


def algorithm(chosen: Credential) -> str:
    """The C2PA name of the signature that a credential's key makes: es256, es384, es512, ed25519 or ps256."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key: Any = load_pem_private_key(chosen.key, None)
    except (ValueError, TypeError) as error:
        raise RequestError(f"{KEY}: not a private key in PEM without a password") from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in curves:
        return curves[key.curve.name]
    raise RequestError(f"{KEY}: a key of another kind; allowed: ECDSA on P-256, P-384 or P-521, Ed25519, RSA")


def _make_once(place: Path) -> Credential:
    """Make the self-made credential in ``place``, once among all processes; the key appears last and is private."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(place / ".lock", timeout=LOCK_SECONDS):
        if found := _whole(place):  # another process was first
            return found
        _set_aside(place)
        made = self_made()
        for name, data in ((CERTIFICATE, made.certificates), (KEY, made.key)):
            write_bytes(place / name, data, mode=0o600)  # readable by its owner alone
    return made


def _set_aside(place: Path) -> None:
    """Move what is left of a damaged credential to a folder beside it, and say so."""
    left = [place / name for name in (CERTIFICATE, KEY) if (place / name).exists()]
    if not (place / KEY).exists():  # making it was stopped between its two files
        return
    aside = place / f"damaged-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S%f}"
    aside.mkdir(mode=0o700)
    for path in left:
        os.replace(path, aside / path.name)
    log.warning("the self-made certificate in %s was damaged: made anew, what was left lies in %s", place, aside.name)


def _name(common: str) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    pairs = ((NameOID.ORGANIZATION_NAME, ORGANISATION), (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in pairs])


def _usage(*, root: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=root,
        crl_sign=root,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate(*, subject: Any, issuer: Any, public: Any, signer: Any, extensions: list[tuple[Any, bool]]) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hashes.SHA256())
