//! When a look at the files changes what is served.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;
use crate::settings::TcpTls;

const NOW: i64 = 1_800_000_000;

/// Files of a certificate that is valid in these years.
fn files(directory: &Path, years: (i32, i32)) -> TlsFiles {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["chat.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    std::fs::write(directory.join("tls.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
    read(directory).unwrap()
}

fn read(directory: &Path) -> Result<TlsFiles, CertificateError> {
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| directory.join(name));
    TlsFiles::read(&TlsSettings { certificate, key, client_ca: None, tcp: TcpTls::On })
}

#[test]
fn what_is_wrong_at_two_looks_is_reported_once() {
    let directory = tempfile::tempdir().unwrap();
    let used = files(directory.path(), (2020, 2100));
    let mut renewal = Renewal::new(used.clone(), &Served::new(&used).unwrap());
    assert!(matches!(renewal.look(Ok(used.clone()), NOW), Look::Same));

    std::fs::remove_file(directory.path().join("tls.key")).unwrap();
    assert!(matches!(renewal.look(read(directory.path()), NOW), Look::Same), "a swap may be under way");
    assert!(matches!(renewal.look(read(directory.path()), NOW), Look::Unusable(CertificateError::File { .. })));
    assert!(matches!(renewal.look(read(directory.path()), NOW), Look::Same));
    assert!(matches!(renewal.look(Ok(used), NOW), Look::Same));

    let next = files(directory.path(), (2020, 2090));
    assert!(matches!(renewal.look(Ok(next.clone()), NOW), Look::Renewed(_)));
    assert!(matches!(renewal.look(Ok(next), NOW), Look::Same));
}

#[test]
fn a_certificate_that_is_not_valid_waits_and_one_in_use_that_expires_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let used = files(directory.path(), (2020, 2030));
    let mut renewal = Renewal::new(used.clone(), &Served::new(&used).unwrap());
    let later = Served::new(&used).unwrap().not_after + 1;
    assert!(matches!(renewal.look(Ok(used.clone()), later), Look::Expired(_)));
    assert!(matches!(renewal.look(Ok(used), later), Look::Same));

    let early = files(directory.path(), (2080, 2090));
    renewal.look(Ok(early.clone()), NOW);
    assert!(matches!(renewal.look(Ok(early.clone()), NOW), Look::Unusable(CertificateError::Early(_))));
    assert!(matches!(renewal.look(Ok(early), 3_500_000_000), Look::Renewed(_)), "its time has come");
}

#[test]
fn certificates_and_keys_have_to_belong_together() {
    let directory = tempfile::tempdir().unwrap();
    files(directory.path(), (2020, 2100));
    let other = KeyPair::generate().unwrap();
    std::fs::write(directory.path().join("tls.key"), other.serialize_pem()).unwrap();
    let error = Served::new(&read(directory.path()).unwrap()).unwrap_err();
    assert!(matches!(error, CertificateError::Pair(_)), "{error}");
    for name in ["tls.crt", "tls.key"] {
        files(directory.path(), (2020, 2100));
        std::fs::write(directory.path().join(name), "no PEM").unwrap();
        assert!(matches!(Served::new(&read(directory.path()).unwrap()), Err(CertificateError::Content { .. })));
    }
}
