//! TLS as links use it: version 1.3 only, both sides known by their Ed25519 key, no certificate authority.
//!
//! In: a signing key and the key that is dialled. Out: a rustls configuration, and what the listening side shares with it.
//! Always: a peer's key is the one in its certificate *and* the one that signed this very handshake; nothing else in the
//! certificate counts. No session is ever resumed: resumption would skip the question whether the key is admitted.
//! Spec: `spec/06-link.md`, sections 1.1 to 1.4. Tested: `daemon/src/transport/tests.rs`.

use std::fmt;
use std::sync::{Arc, LazyLock};

use ed25519_dalek::Signer as _;
use fingerpost_proto::key::PublicKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureAlgorithm, SignatureScheme};

/// The application protocol of a link: HTTP/2.
pub const ALPN: &[u8] = b"h2";

/// DER of an Ed25519 SubjectPublicKeyInfo, up to its 32 bytes of key.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Named by every certificate of this software; nobody reads it. `.invalid` never exists in DNS.
const CERTIFICATE_NAME: &str = "node.fingerpost.invalid";

/// ring, named explicitly: a process-wide default would depend on what else is linked in.
pub static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// Why a key cannot be used on links.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate could be made.
    #[error("cannot make a certificate from this key: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// A key with its certificate: what one side of a link shows. Cheap to clone; the key is wiped with the last clone.
#[derive(Clone)]
pub struct TlsIdentity {
    public: PublicKey,
    certified: Arc<CertifiedKey>,
}

impl TlsIdentity {
    /// Makes a self-signed certificate for `key`: a node key, or the one-time key of an invite.
    pub fn new(key: &ed25519_dalek::SigningKey) -> Result<TlsIdentity, TlsError> {
        let public = public_half(key);
        Ok(TlsIdentity::from_parts(public, self_signed(key, &public)?, key))
    }

    /// The key that peers will see.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// With a certificate that was made elsewhere. That it is for `public`, and that for `key`, is the caller's business.
    pub fn from_parts(
        public: PublicKey,
        certificate: CertificateDer<'static>,
        key: &ed25519_dalek::SigningKey,
    ) -> TlsIdentity {
        let key = Arc::new(HandshakeKey(Arc::new(key.clone())));
        TlsIdentity { public, certified: Arc::new(CertifiedKey::new(vec![certificate], key)) }
    }

    /// Shows this certificate in every handshake.
    pub fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.certified)))
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsIdentity({})", self.public)
    }
}

/// Reads the key out of a peer's certificate. Everything else in it is ignored.
pub fn key_of(certificate: &CertificateDer<'_>) -> Result<PublicKey, Error> {
    let spki = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    let bytes = spki.as_ref().strip_prefix(&SPKI_PREFIX);
    let key = bytes.and_then(|bytes| PublicKey::from_bytes(bytes).ok());
    key.ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// A certificate for `key` that nobody else signed.
pub fn self_signed(
    key: &ed25519_dalek::SigningKey,
    public: &PublicKey,
) -> Result<CertificateDer<'static>, rcgen::Error> {
    let mut parameters = rcgen::CertificateParams::new(vec![CERTIFICATE_NAME.to_owned()])?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    // A serial number is positive and at most 20 bytes long; the key makes it the same at every start.
    parameters.serial_number = Some(rcgen::SerialNumber::from_slice(&public.as_bytes()[..16]));
    let certificate = parameters.self_signed(&CertificateKey { key, public })?;
    Ok(certificate.der().clone())
}

/// Returns the configuration for one dialled connection to the holder of `expected`.
pub fn client_config(identity: &TlsIdentity, expected: PublicKey, send_server_name: bool) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring offers the cipher suites and groups of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerPin { expected }))
        .with_client_cert_resolver(identity.resolver());
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = send_server_name;
    config
}

/// The server has another key than the expected one. Travels inside rustls' error to the dialler.
#[derive(Debug, thiserror::Error)]
#[error("expected key {expected}, found {found}")]
pub(super) struct KeyMismatch {
    pub(super) expected: PublicKey,
    pub(super) found: PublicKey,
}

#[derive(Debug)]
struct ServerPin {
    expected: PublicKey,
}

impl ServerCertVerifier for ServerPin {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = key_of(certificate)?;
        if found == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        let mismatch = KeyMismatch { expected: self.expected, found };
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(mismatch)))))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &PROVIDER.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// What a signature of an older version is answered with.
pub fn only_tls13() -> Error {
    Error::General("links use TLS 1.3 only".to_owned())
}

/// The public half of a signing key, as the protocol names it.
pub fn public_half(signing: &ed25519_dalek::SigningKey) -> PublicKey {
    PublicKey::from_bytes(signing.verifying_key().as_bytes())
        .expect("a public key derived from a secret one is a canonical point of the prime-order group")
}

/// Signs the certificate.
struct CertificateKey<'a> {
    key: &'a ed25519_dalek::SigningKey,
    public: &'a PublicKey,
}

impl rcgen::PublicKeyData for CertificateKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::SigningKey for CertificateKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}

/// Signs handshakes. Our own rather than ring's, whose copy of the key would stay in memory after it is dropped.
struct HandshakeKey(Arc<ed25519_dalek::SigningKey>);

impl SigningKey for HandshakeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(HandshakeKey(Arc::clone(&self.0))) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for HandshakeKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl fmt::Debug for HandshakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandshakeKey")
    }
}
