//! Carries out a plan, write by write. Does I/O. A refused write does not block the others.

use std::time::Instant;

use serde_json::json;

use super::ledger::Ledger;
use crate::backoff::random;
use crate::cache::Cache;
use crate::client::{CallError, Client};
use crate::desired::{self, Child, Context, Kind, Owner};
use crate::plan::{self, Conflict, NewSecret, Standing, Write, compare};
use crate::record::{self, Key};
use crate::status::{Problem, Reason};

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    pub conflicts: Vec<Conflict>,
    /// Why the API server refused writes: the status reports them, and they are retried with backoff.
    pub problems: Vec<Problem>,
    /// Secrets were written, or may have been: what they are has to be read again.
    pub secrets_changed: bool,
    /// Services were written, whose node ports go into the addresses of pods, or a child was found to be there already: the next reconcile
    /// has to begin at once, and the watch tells nothing new of what is known already.
    pub seen_anew: bool,
    /// The first failure that is nobody's fault but the moment's.
    pub failure: Option<CallError>,
}

/// What a write that did not fail came to.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    Written,
    /// Only what is in its place was read. That is no write: the ledger, which makes repeated ones wait, does not count it, so that
    /// each reconcile finds it out again, and notices within seconds when the place is free.
    OnlyRead,
}

pub async fn apply(
    client: &Client,
    cache: &Cache,
    key: &Key,
    context: &Context<'_>,
    writes: &[Write],
    ledger: &mut Ledger,
) -> Outcome {
    let mut outcome = Outcome::default();
    let names: Vec<String> = writes.iter().map(Write::name).collect();
    let mut reverted = Vec::new();
    ledger.keep_refusals_of(&names, Instant::now());
    for (write, name) in writes.iter().zip(&names) {
        let content = write.content();
        if ledger.waits(name, content, Instant::now()) {
            reverted.extend(ledger.reverted(name).and_then(|times| reversal(write, times)));
            continue;
        }
        let result = carry_out(client, cache, key, context, write, &mut outcome).await;
        outcome.secrets_changed |= write.is_of_secret() && may_have_written(&result);
        match result {
            Ok(Done::Written) => ledger.done(name, content, Instant::now(), random()),
            Ok(Done::OnlyRead) => {}
            Err(error @ CallError::Refused { code: 409, .. }) => {
                // Somebody else wrote at the same time: look again.
                outcome.failure.get_or_insert(error);
            }
            // The namespace goes away, and the ChatDeployment with it.
            Err(CallError::Refused { code: 403, message }) if message.contains("being terminated") => {}
            Err(CallError::Refused { code, message }) => {
                let problem = Problem::of_refusal(code, &message);
                tracing::warn!(deployment = %key, write = name, code, reason = problem.reason.as_str(), message, "the API server refused a write");
                ledger.refused(name, content, problem, Instant::now(), random());
            }
            Err(error @ CallError::NotLeading) => {
                outcome.failure = Some(error);
                break;
            }
            Err(error) => {
                outcome.failure.get_or_insert(error);
            }
        }
    }
    outcome.problems = ledger.refusals().into_iter().cloned().chain(reverted).collect();
    outcome
}

/// What the status says of a write that waits since another writer reverted it so often.
fn reversal(write: &Write, times: u32) -> Option<Problem> {
    let Write::Apply { child, why, .. } = write else {
        return None;
    };
    let (kind, name) = (child.kind.as_str(), &child.name);
    Some(Problem::new(Reason::Reverted, format!("{kind} {name}: {why} was reverted {times} times in a row")))
}

async fn carry_out(
    client: &Client,
    cache: &Cache,
    key: &Key,
    context: &Context<'_>,
    write: &Write,
    outcome: &mut Outcome,
) -> Result<Done, CallError> {
    let namespace = &key.namespace;
    match write {
        Write::Create(child) => return create(client, cache, key, context.owner, child, outcome).await,
        Write::Apply { child, uid, why } => {
            tracing::info!(deployment = %key, kind = child.kind.as_str(), name = child.name, why, "applied");
            put(client, cache, key, child, Some(uid), outcome).await
        }
        Write::Secret(which) => {
            let child = new_secret(context, *which)?;
            match client.create(&child, namespace).await {
                // It has come since it was last looked at: look again.
                Err(CallError::Refused { code: 409, .. }) => Ok(()),
                Ok(()) => {
                    tracing::info!(deployment = %key, name = child.name, "Secret created");
                    Ok(())
                }
                refused => refused,
            }
        }
        Write::AdoptSecret(which) => {
            let child = new_secret(context, *which)?;
            let metadata = &child.object["metadata"];
            let patch =
                json!({ "metadata": { "labels": metadata["labels"], "ownerReferences": metadata["ownerReferences"] } });
            client.merge(Kind::Secret, namespace, &child.name, &patch).await
        }
        Write::FillSecret(which) => {
            let child = new_secret(context, *which)?;
            client.merge(Kind::Secret, namespace, &child.name, &json!({ "data": child.object["data"] })).await
        }
        Write::Delete { kind, name, uid } => {
            tracing::info!(deployment = %key, kind = kind.as_str(), name, "deleted; the spec no longer needs it");
            client.delete(*kind, namespace, name, uid).await
        }
        Write::DeletePod { name, uid } => {
            tracing::info!(deployment = %key, name, "deleted the pod for the update; Kubernetes waits for another pod");
            client.delete_pod(namespace, name, uid, false).await
        }
        Write::LetPodGo { name, uid } => {
            tracing::warn!(deployment = %key, name, "force-deleted the pod: its node does not respond, and it holds no data");
            client.delete_pod(namespace, name, uid, true).await
        }
    }
    .map(|()| Done::Written)
}

/// Whether something is other than before: not if the API server has refused it, but for want of being up to date.
fn may_have_written(result: &Result<Done, CallError>) -> bool {
    !matches!(result, Err(CallError::Refused { code, .. }) if *code != 409)
}

/// Nothing of this name was seen among what carries our labels. Somebody else's must not be taken over.
async fn create(
    client: &Client,
    cache: &Cache,
    key: &Key,
    owner: &Owner,
    child: &Child,
    outcome: &mut Outcome,
) -> Result<Done, CallError> {
    let Some(object) = client.get(child.kind, &key.namespace, &child.name).await? else {
        tracing::info!(deployment = %key, kind = child.kind.as_str(), name = child.name, "created");
        // Without force: what comes into being in between is not overwritten.
        return put(client, cache, key, child, None, outcome).await.map(|()| Done::Written);
    };
    let record = record::Child::of_object(child.kind, &object);
    match plan::standing(owner, &record) {
        // Without its labels the watches do not see it. What was planned without it may be far from what it is: of a StatefulSet
        // all pods would be updated at once. It is known now, and looked at again.
        Standing::Ours => {
            cache.put_child(key, record);
            outcome.seen_anew = true;
        }
        Standing::Leaving => {}
        Standing::Foreign(holder) => {
            outcome.conflicts.push(Conflict { kind: child.kind, name: child.name.clone(), holder });
        }
    }
    Ok(Done::OnlyRead)
}

async fn put(
    client: &Client,
    cache: &Cache,
    key: &Key,
    child: &Child,
    uid: Option<&str>,
    outcome: &mut Outcome,
) -> Result<(), CallError> {
    let mut result = client.apply(child, &key.namespace, uid).await;
    if let (Err(CallError::Refused { code: 422, .. }), Some(uid), Some(ports)) =
        (&result, uid, child.object.pointer("/spec/ports"))
    {
        // A Service's ports are told apart by their numbers, but their names must differ too: one that somebody gave another number
        // stands in the way of ours. The list as a whole is the operator's.
        let patch = json!({ "metadata": { "uid": uid }, "spec": { "ports": ports } });
        client.merge(child.kind, &key.namespace, &child.name, &patch).await?;
        result = client.apply(child, &key.namespace, Some(uid)).await;
    }
    let object = result?;
    let record = record::Child::of_object(child.kind, &object);
    let is_new = cache.put_child(key, record.clone());
    outcome.seen_anew |= is_new && child.kind == Kind::Service;
    match compare::first_difference(&child.object, &object) {
        None => cache.verify(key, &record, plan::seal(child)),
        Some(place) => {
            // Something changes it on its way in, such as an admission policy. It is not fought over.
            cache.accept(key, &record, plan::accepted(child, &object));
            tracing::warn!(deployment = %key, kind = child.kind.as_str(), name = child.name, place, "the API server changed an applied field");
            cache.verify(key, &record, plan::seal(child));
        }
    }
    Ok(())
}

fn new_secret(context: &Context<'_>, which: NewSecret) -> Result<Child, CallError> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|error| CallError::Other(format!("cannot read random numbers: {error}")))?;
    let id = || jiff::Timestamp::now().strftime("%Y%m%d%H%M%S").to_string();
    Ok(match which {
        NewSecret::TokenKeys => desired::new_token_keys(context, &id(), &random),
        NewSecret::ApiKeys => desired::new_api_keys(context, &id(), &random),
        NewSecret::Valkey => desired::new_valkey_secret(context, &random),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::server::that_answers as server;
    use super::*;
    use crate::api::ChatDeploymentSpec;
    use crate::desired::{Facts, Installed};

    fn key() -> Key {
        Key { namespace: "games".into(), name: "chat".into() }
    }

    async fn carried_out(client: &Client, cache: &Cache, write: impl Fn(Child) -> Write) -> Outcome {
        let owner = Owner { name: "chat".into(), namespace: "games".into(), uid: "uid-1".into() };
        let installed = Installed::sample();
        let (spec, facts) = (ChatDeploymentSpec::default(), Facts::default());
        let context = Context { owner: &owner, spec: &spec, installed: &installed, facts: &facts };
        apply(client, cache, &key(), &context, &[write(desired::chat_set(&context))], &mut Ledger::default()).await
    }

    #[tokio::test]
    async fn a_set_that_is_there_after_all_is_looked_at_before_it_is_written() {
        let owners = json!([{ "apiVersion": desired::KEPT_API_VERSION, "kind": desired::KIND, "name": "chat", "uid": "uid-1", "controller": true }]);
        let metadata = json!({ "name": "chat", "namespace": "games", "uid": "u", "ownerReferences": owners });
        let (client, requests) = server(200, json!({ "metadata": metadata, "spec": { "replicas": 3 } })).await;
        let cache = Cache::default();
        let outcome = carried_out(&client, &cache, Write::Create).await;
        assert!(outcome.seen_anew && outcome.failure.is_none(), "{outcome:?}");
        let requests: Vec<String> = requests.lock().unwrap().iter().map(|(method, _)| method.clone()).collect();
        assert_eq!(requests, ["GET"], "nothing was written");
        assert_eq!(cache.children(&key())[0].uid, "u", "the next plan knows it");
    }

    #[tokio::test]
    async fn a_name_that_is_taken_is_told_at_each_reconcile_and_looked_at_again() {
        let metadata = json!({ "name": "chat", "namespace": "games", "uid": "theirs" });
        let (client, requests) = server(200, json!({ "metadata": metadata, "spec": { "replicas": 3 } })).await;
        let owner = Owner { name: "chat".into(), namespace: "games".into(), uid: "uid-1".into() };
        let installed = Installed::sample();
        let (spec, facts) = (ChatDeploymentSpec::default(), Facts::default());
        let context = Context { owner: &owner, spec: &spec, installed: &installed, facts: &facts };
        let (cache, mut ledger) = (Cache::default(), Ledger::default());
        for nth in 1..=50 {
            let writes = [Write::Create(desired::chat_set(&context))];
            let outcome = apply(&client, &cache, &key(), &context, &writes, &mut ledger).await;
            let told: Vec<&str> = outcome.conflicts.iter().map(|conflict| conflict.name.as_str()).collect();
            assert_eq!((told, requests.lock().unwrap().len()), (vec!["chat"], nth), "reconcile {nth}");
        }
        assert!(requests.lock().unwrap().iter().all(|(method, _)| method == "GET"), "it is left alone");
        assert_eq!(ledger.next_in(Instant::now()), None, "nothing waits for longer than the next reconcile");
    }

    #[tokio::test]
    async fn a_write_that_is_refused_is_a_problem() {
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "exceeded quota: q", "code": 403 });
        let (client, _) = server(403, status).await;
        let write = |child| Write::Apply { child, uid: "u".into(), why: String::new() };
        let outcome = carried_out(&client, &Cache::default(), write).await;
        assert_eq!(outcome.problems[0].reason, Reason::QuotaExceeded, "{outcome:?}");
    }
    #[tokio::test]
    async fn a_write_that_was_refused_is_not_sent_again_at_once_and_told_all_the_same() {
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "x denied request: y", "code": 422 });
        let (client, requests) = server(422, status).await;
        let owner = Owner { name: "chat".into(), namespace: "games".into(), uid: "uid-1".into() };
        let installed = Installed::sample();
        let (spec, facts) = (ChatDeploymentSpec::default(), Facts::default());
        let context = Context { owner: &owner, spec: &spec, installed: &installed, facts: &facts };
        let (cache, mut ledger) = (Cache::default(), Ledger::default());
        for _ in 0..5 {
            let writes = [Write::Apply { child: desired::chat_set(&context), uid: "u".into(), why: String::new() }];
            let outcome = apply(&client, &cache, &key(), &context, &writes, &mut ledger).await;
            assert_eq!(outcome.problems[0].reason, Reason::Denied, "{outcome:?}");
        }
        assert_eq!(requests.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_another_writer_reverts_again_and_again_is_a_problem() {
        let (client, requests) = server(200, json!({ "metadata": {} })).await;
        let owner = Owner { name: "chat".into(), namespace: "games".into(), uid: "uid-1".into() };
        let installed = Installed::sample();
        let (spec, facts) = (ChatDeploymentSpec::default(), Facts::default());
        let context = Context { owner: &owner, spec: &spec, installed: &installed, facts: &facts };
        let (cache, mut ledger) = (Cache::default(), Ledger::default());
        let mut outcome = Outcome::default();
        for _ in 0..12 {
            assert!(outcome.problems.is_empty() || requests.lock().unwrap().len() == 9, "{outcome:?}");
            let why = ".spec.replicas".to_owned();
            let writes = [Write::Apply { child: desired::chat_set(&context), uid: "u".into(), why }];
            outcome = apply(&client, &cache, &key(), &context, &writes, &mut ledger).await;
        }
        let problem = &outcome.problems[0];
        assert_eq!(problem.reason, Reason::Reverted);
        assert_eq!(problem.message, "StatefulSet chat: .spec.replicas was reverted 9 times in a row");
    }

    #[tokio::test]
    async fn a_secret_that_could_not_be_written_is_not_read_again_at_once() {
        for (code, changed) in [(403, false), (422, false), (409, true), (201, true)] {
            let kind = if code == 201 { "Secret" } else { "Status" };
            let answer = json!({ "kind": kind, "apiVersion": "v1", "metadata": {}, "message": "m", "code": code });
            for write in [Write::Secret(NewSecret::Valkey), Write::FillSecret(NewSecret::ApiKeys)] {
                let (client, _) = server(code, answer.clone()).await;
                let outcome = carried_out(&client, &Cache::default(), |_| write.clone()).await;
                assert_eq!(outcome.secrets_changed, changed, "{code} {write:?}: {outcome:?}");
            }
        }
    }
}
