"""Time stamps of an outside authority over the statement of a seal. Pure: who sends the request is another matter.

Purpose: somebody who is not us says that the statement existed at a time, provable without us (also by ``openssl ts``).
Input:   hostile: the response. What is not understood is Invalid, never taken on trust.
Checked: the imprint is of these bytes; the nonce, at reception; the signed attributes cover the token; the signature;
         the certificate is the one that they name (ESS), is for time stamps alone, and led to a trusted root then.
Limits:  revocation is not asked for; identifiers of the signer by key (SKI) are not understood.
Source:  RFC 3161, 5652 (CMS), 5035 and 5816 (ESS).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from beffroi.drive.archives import der
from beffroi.drive.archives.der import DerInvalid, Element
from beffroi.lib.errors import Invalid

RESPONSE_BYTES = 64 << 10
_SHA256, _SHA384, _SHA512 = "2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2", "2.16.840.1.101.3.4.2.3"
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    _SHA256: hashes.SHA256(),
    _SHA384: hashes.SHA384(),
    _SHA512: hashes.SHA512(),
}
_SIGNED_DATA, _TOKEN = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE, _DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_ESS_V1, _ESS_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"
_PSS = "1.2.840.113549.1.1.10"
_NULL = der.written(der.NULL)
_CERTIFICATES, _ATTRIBUTES = 0xA0, 0xA0


class StampInvalid(Invalid):
    """This time stamp proves nothing: {}."""

    code = "drive.stamp_invalid"


@dataclass(frozen=True)
class Stamp:
    """``at``: UTC; ``authority``: as its certificate names it; ``policy``: dotted."""

    at: datetime
    authority: str
    policy: str
    serial: int


def request(data: bytes, nonce: int) -> bytes:
    """TimeStampReq in DER, which asks for the authority's certificate too. ``nonce``: random, of 64 bits."""
    algorithm = der.written(der.SEQUENCE, der.object_id(_SHA256), der.written(der.NULL))
    imprint = der.written(der.SEQUENCE, algorithm, der.written(der.OCTETS, hashlib.sha256(data).digest()))
    return der.written(
        der.SEQUENCE, der.number(1), imprint, der.number(nonce), der.written(der.BOOLEAN, b"\xff")
    )


def verify(
    response: bytes, data: bytes, authorities: Sequence[x509.Certificate], *, nonce: int | None = None
) -> Stamp:
    """What TimeStampResp ``response`` says of ``data``. ``authorities``: trusted roots; ``nonce``: of the request, when
    it has just come. Errors: StampInvalid."""
    if len(response) > RESPONSE_BYTES:
        raise StampInvalid("it is too large")
    try:
        return _verified(response, data, authorities, nonce)
    except (DerInvalid, ValueError, IndexError, UnicodeError, OverflowError):
        raise StampInvalid("it is not of a form that is understood") from None
    except (
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ):
        raise StampInvalid("it uses what is not supported") from None


def _verified(
    response: bytes, data: bytes, authorities: Sequence[x509.Certificate], nonce: int | None
) -> Stamp:
    status, *rest = der.only(response).inner(der.SEQUENCE)
    if status.inner(der.SEQUENCE)[0].number not in (0, 1) or not rest:
        raise StampInvalid("the authority did not grant it")
    kind, content = rest[0].inner(der.SEQUENCE)
    if kind.object != _SIGNED_DATA:
        raise StampInvalid("it is not signed")
    version, digests, wrapped, *more = der.only(content.of(0xA0)).inner(der.SEQUENCE)
    kind, content = wrapped.inner(der.SEQUENCE)
    if kind.object != _TOKEN:
        raise StampInvalid("what is signed is no time")
    token = der.only(content.of(0xA0)).of(der.OCTETS)
    certificates = [
        x509.load_der_x509_certificate(one.raw)
        for part in more
        if part.tag == _CERTIFICATES
        for one in part.inner(_CERTIFICATES)
        if one.tag == der.SEQUENCE
    ]
    signers = more[-1].inner(der.SET)
    if len(signers) != 1:
        raise StampInvalid("it has not one signer")
    version.of(der.INTEGER)
    announced = {_algorithm(one) for one in digests.inner(der.SET)}
    signer = _signer(signers[0], token, certificates, announced)
    stamp = _read(token, data, nonce, signer)
    _trusted(signer, certificates, authorities, stamp.at)
    return stamp


def _algorithm(named: Element) -> str:
    """Without parameters, or with NULL for them, but for PSS."""
    kind, *parameters = named.inner(der.SEQUENCE)
    if kind.object != _PSS and [one.raw for one in parameters] not in ([], [_NULL]):
        raise DerInvalid("parameters")
    return kind.object


def _signer(
    info: Element, token: bytes, certificates: Sequence[x509.Certificate], announced: Collection[str]
) -> x509.Certificate:
    """The certificate whose key signed ``token``. ``announced``: hashes that the whole names before."""
    version, name, digest, attributes, algorithm, signature, *_ = info.inner(der.SEQUENCE)
    issuer, serial = name.inner(der.SEQUENCE)
    hash_ = _HASHES.get(_algorithm(digest))
    version.of(der.INTEGER)
    if hash_ is None or _algorithm(digest) not in announced:
        raise StampInvalid("its hash is not one of SHA-256, SHA-384, SHA-512, or not announced")
    for one in certificates:
        if one.serial_number == serial.number and one.issuer.public_bytes() == issuer.raw:
            break
    else:
        raise StampInvalid("its certificate is not in it")
    said: dict[str, Element] = {}
    for attribute in attributes.inner(_ATTRIBUTES):
        kind, values = attribute.inner(der.SEQUENCE)
        if kind.object in said:
            raise StampInvalid("an attribute comes twice")
        said[kind.object] = der.only(values.of(der.SET))
    if _CONTENT_TYPE not in said or said[_CONTENT_TYPE].object != _TOKEN:
        raise StampInvalid("what is signed is no time")
    if _DIGEST not in said or said[_DIGEST].of(der.OCTETS) != _hashed(hash_, token):
        raise StampInvalid("its time is not what was signed")
    if not _names(said, one):
        raise StampInvalid("another certificate signed it")
    _check_signature(
        one,
        signature.of(der.OCTETS),
        der.written(der.SET, attributes.content),
        hash_,
        _algorithm(algorithm),
    )
    return one


def _names(said: Mapping[str, Element], certificate: x509.Certificate) -> bool:
    """Whether the signed attributes name this certificate: else it could be exchanged for another of the same key."""
    if _ESS_V2 in said:
        first = said[_ESS_V2].inner(der.SEQUENCE)[0].inner(der.SEQUENCE)[0].inner(der.SEQUENCE)
        explicit = first[0].tag == der.SEQUENCE
        hash_ = _HASHES.get(first[0].inner(der.SEQUENCE)[0].object) if explicit else hashes.SHA256()
        return hash_ is not None and first[1 if explicit else 0].of(der.OCTETS) == certificate.fingerprint(
            hash_
        )
    if _ESS_V1 in said:
        first = said[_ESS_V1].inner(der.SEQUENCE)[0].inner(der.SEQUENCE)[0].inner(der.SEQUENCE)
        # SHA-1 is what the old attribute has; the signature itself is by a hash of today.
        return first[0].of(der.OCTETS) == certificate.fingerprint(hashes.SHA1())  # noqa: S303
    return False


def _check_signature(
    certificate: x509.Certificate,
    signature: bytes,
    signed: bytes,
    hash_: hashes.HashAlgorithm,
    algorithm: str,
) -> None:
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(hash_), padding.PSS.AUTO)
            key.verify(signature, signed, pss if algorithm == _PSS else padding.PKCS1v15(), hash_)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(hash_))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        else:
            raise StampInvalid("its key is of a kind that is not understood")
    except InvalidSignature:
        raise StampInvalid("its signature does not hold") from None


def _read(token: bytes, data: bytes, nonce: int | None, signer: x509.Certificate) -> Stamp:
    _version, policy, imprint, serial, at, *rest = der.only(token).inner(der.SEQUENCE)
    algorithm, digest = imprint.inner(der.SEQUENCE)
    hash_ = _HASHES.get(algorithm.inner(der.SEQUENCE)[0].object)
    if hash_ is None or digest.of(der.OCTETS) != _hashed(hash_, data):
        raise StampInvalid("it is of other bytes")
    if nonce is not None and nonce not in [one.number for one in rest if one.tag == der.INTEGER]:
        raise StampInvalid("it answers another request")
    common = signer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    authority = str(common[0].value) if common else signer.subject.rfc4514_string()
    return Stamp(_time(at.of(der.TIME).decode("ascii")), authority, policy.object, serial.number)


def _time(text: str) -> datetime:
    """GeneralizedTime of RFC 3161: to the second, or with a fraction."""
    form = "%Y%m%d%H%M%S.%fZ" if "." in text else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def _trusted(
    signer: x509.Certificate,
    certificates: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    at: datetime,
) -> None:
    if not authorities:
        raise StampInvalid("no authority is trusted")
    try:
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise StampInvalid("its certificate is not for time stamps") from None
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise StampInvalid("its certificate is not for time stamps alone")
    # An authority's own certificates may be for time stamps alone, too: the use is judged above, on the last one.
    above = verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(
        x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, None
    )
    policy = verification.PolicyBuilder().store(verification.Store(list(authorities))).time(at)
    policy = policy.extension_policies(ca_policy=above, ee_policy=verification.ExtensionPolicy.permit_all())
    try:
        policy.build_client_verifier().verify(signer, [one for one in certificates if one != signer])
    except verification.VerificationError:
        raise StampInvalid("its certificate does not lead to a trusted authority") from None


def _hashed(hash_: hashes.HashAlgorithm, data: bytes) -> bytes:
    return hashlib.new(hash_.name, data).digest()
