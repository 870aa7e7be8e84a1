//! The CA certificates that the images trust: Mozilla's, pinned by Cargo.lock, independent of the build machine. Pure.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where TLS libraries look first.
pub const PATH: &str = "etc/ssl/certs/ca-certificates.crt";
const LINE: usize = 64;

/// All of them in PEM form.
pub fn bundle() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(certificate.as_ref());
        for line in encoded.as_bytes().chunks(LINE) {
            let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_authority_is_there_in_lines_that_pem_allows() {
        let bundle = bundle();
        let count = bundle.matches("-----BEGIN CERTIFICATE-----\nMII").count();
        assert_eq!(count, webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
        assert!(count > 100, "{count}");
        assert!(bundle.lines().all(|line| line.len() <= LINE));
    }
}
