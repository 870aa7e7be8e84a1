//! An API server of tests, which answers every request alike. Does I/O.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::Client;
use crate::leader::Leadership;

/// The methods and bodies of requests.
pub type Requests = Arc<Mutex<Vec<(String, Value)>>>;

fn client(url: &str) -> Client {
    let kube = kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
    Client::new(kube, Arc::default(), Leadership::always())
}

/// Nothing listens there.
pub fn none() -> Client {
    client("http://127.0.0.1:1")
}

/// With this code and body. Also returns the requests that it gets.
pub async fn that_answers(code: u16, answer: Value) -> (Client, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("http://{}", listener.local_addr().unwrap()));
    let requests = Requests::default();
    let heard = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = request(&mut stream).await;
            heard.lock().unwrap().push(request);
            let body = answer.to_string();
            let head = format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nConnection: close\r\n");
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (client, requests)
}

async fn request(stream: &mut TcpStream) -> (String, Value) {
    let mut request = String::new();
    loop {
        let mut part = vec![0; 64 * 1024];
        let length = stream.read(&mut part).await.unwrap();
        request.push_str(&String::from_utf8_lossy(&part[..length]));
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let mut lengths =
            head.lines().filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if length == 0 || body.len() >= lengths.next().unwrap_or(0) {
            let method = head.split(' ').next().unwrap_or_default().to_owned();
            return (method, serde_json::from_str(body).unwrap_or_default());
        }
    }
}
