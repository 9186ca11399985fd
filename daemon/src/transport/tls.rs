//! TLS of the listening side: version 1.3 only, clients known by their Ed25519 key, no certificate authority.
//!
//! In: the node's identity, and which keys are admitted. Out: a rustls configuration for one connection.
//! Always: a client's key is the one in its certificate *and* the one that signed this very handshake; nothing else in the
//! certificate counts. No session is ever resumed: resumption would skip the question whether the key is admitted.
//! What both sides share is the command line's, which dials, too. Spec: `spec/06-link.md`, sections 1.1 to 1.4.
//! Tested: `transport/tests.rs`.

use std::fmt;
use std::sync::{Arc, OnceLock};

pub(super) use fingerpost_cli::transport::tls::{ALPN, key_of};
use fingerpost_cli::transport::tls::{PROVIDER, only_tls13};
#[cfg(test)]
pub(super) use fingerpost_cli::transport::tls::{client_config, self_signed};
use fingerpost_proto::key::PublicKey;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::{Admission, Admitted, TlsIdentity};

/// What a server learned about the client of one handshake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) key: PublicKey,
    pub(super) admitted: Option<Admitted>,
}

/// Returns the configuration for one accepted connection; `verdict` is filled in during its handshake.
pub(super) fn server_config(
    identity: &TlsIdentity,
    admission: &Arc<dyn Admission>,
    verdict: &Arc<OnceLock<Verdict>>,
) -> ServerConfig {
    let verifier = Arc::new(ClientPin { admission: Arc::clone(admission), verdict: Arc::clone(verdict) });
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring offers the cipher suites and groups of TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity.resolver());
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config
}

struct ClientPin {
    admission: Arc<dyn Admission>,
    verdict: Arc<OnceLock<Verdict>>,
}

impl ClientCertVerifier for ClientPin {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let key = key_of(certificate)?;
        let admitted = self.admission.admit(&key);
        // Asked once per handshake, so the first answer is the only one.
        let verdict = self.verdict.get_or_init(|| Verdict { key, admitted });
        match verdict.admitted {
            Some(_) if verdict.key == key => Ok(ClientCertVerified::assertion()),
            // Sent as alert access_denied.
            _ => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
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

impl fmt::Debug for ClientPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientPin")
    }
}
