//! Plans of the server API: its Service comes and goes, its keys come once. No I/O.

use serde_json::json;

use super::*;

#[test]
fn the_api_comes_with_a_service_and_keys_and_goes_without_its_keys() {
    let (with, without) = (spec(json!({ "api": { "type": "ClusterIP" } })), spec(json!({ "api": {} })));
    let own = spec(json!({ "api": { "type": "ClusterIP", "secretRef": { "name": "mine" } } }));
    let (service, secret) = ((Kind::Service, "chat-api".to_owned()), (Kind::Secret, "chat-api".to_owned()));
    let there = |cluster: &Cluster| [&service, &secret].map(|key| cluster.objects.contains_key(key));
    let mut cluster = Cluster::default();
    cluster.converge(&without);
    assert_eq!(there(&cluster), [false, false]);
    let minimal = cluster.content();
    cluster.converge(&with);
    assert_eq!(there(&cluster), [true, true]);
    let keys = cluster.objects[&secret].clone();
    let container = cluster.objects[&(Kind::StatefulSet, "chat".to_owned())]
        .pointer("/spec/template/spec/containers/0/args")
        .unwrap();
    assert_eq!(container, &json!(["--api-listen=0.0.0.0:8082", "--api-keys-file=/etc/chatd/api-keys/keys.json"]));

    cluster.converge(&without);
    assert_eq!(there(&cluster), [false, true], "callers that have a key keep it for when it is served again");
    cluster.converge(&with);
    assert_eq!(cluster.objects[&secret], keys, "it is not written again");
    cluster.converge(&own);
    let volumes = cluster.objects[&(Kind::StatefulSet, "chat".to_owned())].pointer("/spec/template/spec/volumes");
    assert!(volumes.unwrap().to_string().contains(r#""secretName":"mine""#));
    cluster.objects.remove(&secret);
    cluster.converge(&own);
    assert_eq!(there(&cluster), [true, false], "the user's own is the user's");
    cluster.converge(&without);
    assert_eq!(cluster.content(), minimal);

    // Somebody's Secret of this name, and one of ours that was emptied.
    let mut cluster = Cluster::default();
    cluster.converge(&with);
    let mut observed = cluster.observe();
    observed.api_keys.as_mut().unwrap().is_whole = false;
    let plan = |observed: &Observed| plan(&owner(), &with, &installed(), observed, GO);
    assert_eq!(plan(&observed).writes, [Write::FillSecret(NewSecret::ApiKeys)]);
    let seen = &mut observed.api_keys.as_mut().unwrap().record;
    (seen.owner, seen.has_our_labels) = (record::Owner::Nobody, false);
    let found = plan(&observed);
    assert!(found.writes.is_empty() && !found.secrets_are_there);
    assert_eq!((found.conflicts.len(), found.conflicts[0].name.as_str()), (1, "chat-api"));
}
