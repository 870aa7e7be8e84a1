//! Tests of whole reconciles, against an API server that answers every request alike.
#![allow(clippy::unwrap_used)]

pub mod server;

use serde_json::{Value, json};

use super::*;

fn reconciler(client: Client) -> Reconciler {
    let installed = Installed::sample();
    let scopes = Scopes::new(&[], 0);
    Reconciler::new(
        client,
        Arc::default(),
        Arc::default(),
        Arc::default(),
        Arc::default(),
        installed,
        1,
        scopes,
        Neighbours::new("system/chatd-operator".into()),
        Stopped::default(),
    )
}

fn key() -> Key {
    Key { namespace: "games".into(), name: "chat".into() }
}

fn unreadable() -> Deployment {
    Deployment::Unreadable { generation: 1, why: "unknown variant".into() }
}

#[tokio::test]
async fn a_status_that_could_not_be_written_is_tried_again() {
    let reconciler = reconciler(server::none());
    reconciler.cache.put_deployment(&key(), 1, unreadable());
    reconciler.handle(&key()).await;
    tokio::time::pause();
    let again = tokio::time::timeout(RETRY_AFTER * 2, reconciler.queue.next()).await;
    assert_eq!(again.unwrap(), key());
}

#[tokio::test]
async fn a_reconcile_whose_writes_were_refused_counts_as_an_error() {
    let reconciler = reconciler(server::none());
    let mut failures = 0;
    let reconciled = |is_refused| Ok(Reconciled { again_in: RESYNC, is_refused });
    assert_eq!(reconciler.schedule(&key(), reconciled(true), &mut failures), "error");
    assert_eq!(reconciler.schedule(&key(), reconciled(false), &mut failures), "ok");
}

#[tokio::test]
async fn what_cannot_be_parsed_is_defended_and_not_taken_from_another_operator() {
    let statuses = async |operator: &str, contender: Value| {
        let status = json!({ "operator": operator, "contender": contender });
        let items = json!([{ "metadata": { "name": "chat", "namespace": "games", "uid": "u" }, "status": status }]);
        let (client, requests) = server::that_answers(200, json!({ "metadata": {}, "items": items })).await;
        let reconciler = reconciler(client);
        reconciler.cache.put_deployment(&key(), 1, unreadable());
        reconciler.handle(&key()).await;
        let requests = requests.lock().unwrap();
        let written = requests.iter().filter(|(method, _)| method == "PATCH").map(|(_, body)| &body["status"]);
        let says =
            |status: &Value| json!([status["operator"], status["contender"], status.pointer("/conditions/0/reason")]);
        written.map(says).collect::<Vec<_>>()
    };
    let me = "system/chatd-operator";
    let defended = [json!([me, null, null]), json!([me, null, "InvalidSpec"])];
    assert_eq!(statuses(me, "b/two".into()).await, defended);
    assert_eq!(statuses("b/two", Value::Null).await, [json!(["b/two", me, null])]);
}
