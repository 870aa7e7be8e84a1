//! A webhook's receiver: answers as it is told, and keeps what it was sent, with its signatures checked.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use sha2::Sha256;

use crate::support::certificates::Certificates;

/// What becomes of one request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Status line, and further headers with their line ends.
    Status(&'static str, String),
    /// The connection ends without an answer.
    Close,
    /// 204 after so long.
    Late(Duration),
}

/// A request whose signatures are right.
#[derive(Debug, Clone)]
pub struct Request {
    pub target: String,
    pub id: String,
    /// One for each of the receiver's secrets that it was signed with.
    pub signatures: usize,
    pub text: String,
    /// It was answered with 204.
    pub taken: bool,
}

impl Request {
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Type, room and number.
    pub fn what(&self) -> (String, String, u64) {
        let body = self.body();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&body["type"]), text(&body["data"]["room"]), body["data"]["number"].as_u64().unwrap())
    }
}

#[derive(Default)]
struct Shared {
    replies: VecDeque<Reply>,
    requests: Vec<Request>,
    secrets: Vec<Vec<u8>>,
    problems: Vec<String>,
}

#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Receiver {
    /// Listens at this port of loopback; 0: any. The secrets as a file of chatd's has them.
    pub fn start(port: u16, secrets: &[&str], replies: Vec<Reply>, tls: Option<&Certificates>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let address = listener.local_addr().unwrap();
        let secrets = secrets.iter().map(|secret| STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap());
        let shared = Shared { replies: replies.into(), secrets: secrets.collect(), ..Shared::default() };
        let receiver = Self { address, shared: Arc::new(Mutex::new(shared)) };
        let tls = tls.map(|certificates| Arc::new(server_config(certificates)));
        let served = receiver.clone();
        spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (receiver, tls) = (served.clone(), tls.clone());
                spawn(move || match tls {
                    None => receiver.serve(stream),
                    Some(tls) => receiver.serve(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream)),
                });
            }
        });
        receiver
    }

    /// What becomes of the next requests.
    pub fn then(&self, replies: Vec<Reply>) {
        self.shared.lock().unwrap().replies = replies.into();
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        let shared = self.shared.lock().unwrap();
        assert!(shared.problems.is_empty(), "{:?}", shared.problems);
        shared.requests.clone()
    }

    /// Those that were answered with 204.
    pub fn taken(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.taken).collect()
    }

    fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        while let Some((request, reply)) = self.read(&mut stream) {
            let answer = match &reply {
                Reply::Close => return,
                Reply::Status(status, headers) => {
                    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 2\r\n\r\nno")
                }
                Reply::Late(after) => {
                    sleep(*after);
                    "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
                }
            };
            if stream.get_mut().write_all(answer.as_bytes()).and_then(|()| stream.get_mut().flush()).is_err() {
                return;
            }
            self.shared.lock().unwrap().requests[request].taken = matches!(reply, Reply::Late(_));
        }
    }

    /// The next request's number, and what becomes of it.
    fn read(&self, stream: &mut impl BufRead) -> Option<(usize, Reply)> {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let header = |name: &str| {
            let mut values = head.iter().filter_map(|line| line.split_once(": "));
            values.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let mut body = vec![0; header("content-length")?.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        let (id, at) = (header("webhook-id")?, header("webhook-timestamp")?);
        let mut shared = self.shared.lock().unwrap();
        let signed = shared.secrets.iter().map(|secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            mac.update(format!("{id}.{at}.").as_bytes());
            mac.update(&body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
        let signed: Vec<String> = signed.collect();
        let signatures = header("webhook-signature")?;
        let signatures: Vec<&str> = signatures.split(' ').collect();
        if !signatures.iter().all(|signature| signed.iter().any(|right| right == signature)) {
            shared.problems.push(format!("signatures {signatures:?}, not {signed:?}"));
        }
        if header("content-type").as_deref() != Some("application/json") {
            shared.problems.push(format!("{head:?}"));
        }
        let (target, signatures) = (head[0].clone(), signatures.len());
        let text = String::from_utf8(body).unwrap();
        shared.requests.push(Request { target, id, signatures, text, taken: false });
        let reply = shared.replies.pop_front().unwrap_or(Reply::Late(Duration::ZERO));
        Some((shared.requests.len() - 1, reply))
    }
}

fn server_config(certificates: &Certificates) -> ServerConfig {
    let (chain, key) = certificates.server();
    let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_no_client_auth().with_single_cert(chain, key).unwrap()
}
