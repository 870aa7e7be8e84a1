//! `POST /deaths`: the operator's signed notice that a process is dead. Serves HTTP; the pod's thread decides.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{ANSWER_TIME, error};
use crate::death_notice::{MAX_NOTICE, NoticeError, SIGNATURE};
use crate::failure_detector::Finding;
use crate::pod::notices::Notices;

/// A notice that a process is dead; the answer is what came of it.
pub(super) async fn deaths(State(notices): State<Notices>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let signature = parts.headers.get(SIGNATURE).map(HeaderValue::as_bytes);
    let Ok(Ok(body)) = tokio::time::timeout(ANSWER_TIME, to_bytes(body, MAX_NOTICE)).await else {
        return error(StatusCode::BAD_REQUEST, "bad_notice", "The body is too long, or has not come within 1 s.");
    };
    match notices.dead(signature, &body).await {
        Ok(Finding::Deleted) => Json(json!({"lease": "deleted"})).into_response(),
        Ok(Finding::Gone) => Json(json!({"lease": "gone"})).into_response(),
        Ok(Finding::Lives) => {
            let sentence = "That process has a link to this pod, or has just renewed its lease; nothing was done.";
            error(StatusCode::CONFLICT, "alive", sentence)
        }
        Ok(Finding::OtherDeployment) => {
            let sentence = "That lease belongs to another deployment (--deployment-uid); nothing was done.";
            error(StatusCode::CONFLICT, "other_deployment", sentence)
        }
        Ok(Finding::Unknown) => {
            let sentence = "The directory has not answered; ask again, or its lease decides.";
            error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", sentence)
        }
        Err(refused @ NoticeError::Signature) => error(StatusCode::FORBIDDEN, "bad_signature", &refused.to_string()),
        Err(refused @ NoticeError::Malformed) => error(StatusCode::BAD_REQUEST, "bad_notice", &refused.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::routing::post;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::admin::serve;
    use crate::death_notice::PURPOSE;
    use crate::pod::message::PodMessage;
    use crate::protocol::token::Keyring;

    fn key() -> Keyring {
        Keyring::new(vec![("1".into(), vec![7; 32])], "1").unwrap()
    }

    /// Of a pod whose thread finds that of each notice.
    fn notices(finding: Option<Finding>) -> Notices {
        let (pod, mut mail) = unbounded_channel();
        std::thread::spawn(move || {
            while let Some(PodMessage::Dead { notice, reply }) = mail.blocking_recv() {
                assert_eq!(notice.pod, "chat-0");
                reply.send(finding.unwrap()).unwrap();
            }
        });
        Notices::new(Arc::new(key()), pod)
    }

    /// What a pod whose thread finds that answers to this body, with a signature of `signed`.
    fn told(finding: Option<Finding>, signed: &str, body: &str) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let router = Router::new().route("/deaths", post(deaths)).with_state(notices(finding));
            tokio::spawn(serve(listener, router, std::future::pending()));
            let signature = STANDARD.encode(key().mac(PURPOSE, signed.as_bytes()));
            let head = format!("Host: localhost\r\nContent-Length: {}\r\n{SIGNATURE}: {signature}", body.len());
            stream.write_all(format!("POST /deaths HTTP/1.0\r\n{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
            let mut answer = String::new();
            tokio::time::timeout(10 * ANSWER_TIME, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
            answer
        })
    }

    #[test]
    fn a_signed_notice_is_answered_with_what_came_of_it() {
        let body_of = r#"{"pod":"chat-0","boot":"00000000000000ab"}"#;
        let table = [
            (Finding::Deleted, 200, "deleted"),
            (Finding::Gone, 200, "gone"),
            (Finding::Lives, 409, "alive"),
            (Finding::OtherDeployment, 409, "other_deployment"),
            (Finding::Unknown, 503, "unavailable"),
        ];
        for (finding, status, word) in table {
            let answer = told(Some(finding), body_of, body_of);
            assert_eq!(answer[9..12].parse::<u16>().unwrap(), status, "{answer}");
            let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
            let said = if status == 200 { &body["lease"] } else { &body["error"]["code"] };
            assert_eq!(said, word);
        }
    }

    #[test]
    fn what_is_not_a_signed_notice_reaches_nobody() {
        let notice = r#"{"pod":"chat-0","boot":"00000000000000ab"}"#;
        let long = format!("{}{notice}", " ".repeat(MAX_NOTICE));
        // The first two are not signed as they are.
        let table = [("", notice, 403), (notice, "{}", 403), ("{}", "{}", 400), (&long, &long, 400)];
        for (signed, sent, status) in table {
            let answer = told(None, signed, sent);
            assert_eq!(answer[9..12].parse::<u16>().unwrap(), status, "{answer}");
        }
    }
}
