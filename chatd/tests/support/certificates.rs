//! Certificates of an authority of the test's own, as files in a directory that ends with them.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// An authority, and the certificates of a server on loopback and of a client that it signed.
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    pub fn new() -> Self {
        Self::with(&["127.0.0.1"], |_| {})
    }

    /// The server's certificate is for these names, and is otherwise as `change` makes it.
    pub fn with(names: &[&str], change: impl Fn(&mut CertificateParams)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| fs::write(directory.path().join(name), text).unwrap();

        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "test authority");
        write("ca.pem", ca.self_signed(&ca_key).unwrap().pem());
        let ca = Issuer::new(ca, ca_key);

        for (name, subjects) in [("server", names), ("client", &["client"])] {
            let key = KeyPair::generate().unwrap();
            let subjects: Vec<String> = subjects.iter().map(|&subject| subject.to_owned()).collect();
            let mut params = CertificateParams::new(subjects).unwrap();
            if name == "server" {
                change(&mut params);
            }
            write(&format!("{name}.pem"), params.signed_by(&key, &ca).unwrap().pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    pub fn server(&self) -> (PathBuf, PathBuf) {
        (self.file("server.pem"), self.file("server.key"))
    }

    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.file("client.pem"), self.file("client.key"))
    }
}
