//! A proxy that passes TLS through: haproxy chooses by the name that a client asks for, and decrypts nothing.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use chatd::settings::{TcpTls, TlsSettings};
use rustls::pki_types::ServerName;

use crate::certificates::{Certificates, client_config};
use crate::client::wait_until;
use crate::pod::{Options, Pod};
use crate::ports::free_port;
use crate::sealed::Sealed;

const HOST: &str = "chat.example.org";

/// In front of both ports of a pod; the raw TCP port is told whose each connection is.
struct Haproxy {
    lines: SocketAddr,
    web: SocketAddr,
    child: Child,
    _files: tempfile::TempDir,
}

impl Haproxy {
    fn start(pod: &Pod) -> Self {
        let [lines, web] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let pair = |name: &str, bind: SocketAddr, to: SocketAddr, more: &str| {
            format!(
                "frontend {name}\n bind {bind}\n tcp-request inspect-delay 5s\n \
                 tcp-request content accept if {{ req.ssl_hello_type 1 }}\n \
                 use_backend {name}-pods if {{ req.ssl_sni -i {HOST} }}\n\
                 backend {name}-pods\n server pod {to} {more}\n"
            )
        };
        let config = [
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n",
            &pair("lines", lines, pod.tcp, "send-proxy-v2"),
            &pair("web", web, pod.web, ""),
        ];
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("haproxy.cfg");
        std::fs::write(&file, config.concat()).unwrap();
        let program = ["/usr/sbin/haproxy", "haproxy"].into_iter().find(|path| std::path::Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("haproxy"));
        let child = command.args(["-q", "-db", "-f"]).arg(&file).stderr(Stdio::null()).spawn().expect("is installed");
        let proxy = Self { lines, web, child, _files: files };
        wait_until("haproxy listens", || [lines, web].into_iter().all(|port| TcpStream::connect(port).is_ok()));
        proxy
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_proxy_that_passes_tls_through_needs_no_certificate() {
    let certificates = Certificates::with(&[HOST], |_| {});
    let (certificate, key) = certificates.server();
    let tls = Some(TlsSettings { certificate, key, client_ca: None, tcp: TcpTls::On });
    let allowed_origins = vec![format!("https://{HOST}").parse().unwrap()];
    let pod = Pod::start(Options { tls, allowed_origins, proxy_protocol: true, ..Options::default() });
    let proxy = Haproxy::start(&pod);
    let connect = |name: &str| {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Sealed::connect_to(proxy.lines, name, client_config(&certificates.ca(), None))
    };

    let mut alice = connect(HOST).unwrap();
    let room = alice.create_room();
    alice.join(&room, "alice");
    let mut bob = connect(HOST).unwrap();
    bob.join(&room, "bob");
    assert_eq!(alice.line(), "ENTERED bob");
    let long = "x".repeat(3_900);
    for number in 0..50 {
        let text = format!("{number} {long}");
        assert_eq!(bob.ask(&format!("SAY {text}")), format!("MSG bob {text}"));
        assert_eq!(alice.line(), format!("MSG bob {text}"));
    }
    // The end comes through as one, after all that was said.
    bob.send(format!("SAY {long}\nQUIT\n"));
    assert_eq!(bob.rest().unwrap(), format!("MSG bob {long}\nBYE quit\n"));
    assert_eq!(alice.line(), format!("MSG bob {long}"));
    assert_eq!(alice.line(), "EXITED bob left");

    let mut curl = Command::new("curl");
    curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"]).arg(certificates.ca());
    let web = proxy.web.port();
    curl.args([
        "-H",
        &format!("Host: {HOST}"),
        "--resolve",
        &format!("{HOST}:{web}:127.0.0.1"),
        &format!("https://{HOST}:{web}/"),
    ]);
    let output = curl.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200", "{}", String::from_utf8_lossy(&output.stderr));

    // Another name leads nowhere: no pod sees it.
    let before = pod.tls.as_ref().unwrap().counts();
    assert!(connect("other.example.org").is_err());
    assert_eq!(pod.tls.as_ref().unwrap().counts(), before);
}
