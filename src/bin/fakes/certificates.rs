//! The test CA and the certificates of the TLS listeners, made anew at each start.
//!
//! Three servers: one that a client with the CA must believe, and two that it must not.

use std::error::Error;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

pub struct Certificates {
    pub ca_pem: String,
    pub localhost: TlsAcceptor,
    /// By the same CA, for a name that no client asks for.
    pub wrong_name: TlsAcceptor,
    /// For localhost, by a CA that nobody trusts.
    pub unknown_ca: TlsAcceptor,
}

impl Certificates {
    pub fn generate() -> Result<Self, Box<dyn Error>> {
        let (ca_pem, ca) = authority("Dragoman Fakes CA")?;
        let (_, unknown) = authority("Unknown CA")?;
        let localhost = ["localhost", "127.0.0.1", "::1"];
        Ok(Self {
            ca_pem,
            localhost: server(&localhost, &ca)?,
            wrong_name: server(&["wrong.example"], &ca)?,
            unknown_ca: server(&localhost, &unknown)?,
        })
    }
}

type Authority = Issuer<'static, KeyPair>;

fn authority(name: &str) -> Result<(String, Authority), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

fn server(names: &[&str], ca: &Authority) -> Result<TlsAcceptor, Box<dyn Error>> {
    let (certificate, key) = leaf(names, ca)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn leaf(names: &[&str], ca: &Authority) -> Result<(Certificate, KeyPair), rcgen::Error> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python refuses a certificate that does not name its issuer's key.
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, ca)?, key))
}
