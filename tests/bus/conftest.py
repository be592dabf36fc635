"""What tests of the bus share: patience cut short, and a certificate."""

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that takes seconds on purpose takes a tenth of that."""
    monkeypatch.setattr("webedt.bus.postgres.PING_EVERY_SECONDS", 0.1)
    monkeypatch.setattr("webedt.bus.peers.GONE_AFTER_SECONDS", 1.0)
    monkeypatch.setattr("webedt.bus.peers.KNOWN_AFTER_SECONDS", 0.25)
    monkeypatch.setattr("webedt.bus.redis.TEST_EVERY_SECONDS", 0.05)
    monkeypatch.setattr("webedt.bus.redis.UNHEARD_AFTER_SECONDS", 0.6)
    monkeypatch.setattr("webedt.bus.redis.MAX_BACKOFF_SECONDS", 0.2)
    monkeypatch.setattr("webedt.bus.redis_link.SEND_SECONDS", 0.3)
    monkeypatch.setattr("webedt.bus.redis_link.CONNECT_SECONDS", 0.3)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody but itself has signed, and beside it, ending in `.key`, its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis of a test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "redis.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.with_suffix(".key").write_bytes(key.private_bytes(*private))
    return path
