//! Tests of the cache.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::record::{Detail, Owner};

fn key() -> Key {
    Key { namespace: "games".into(), name: "chat".into() }
}

fn child(name: &str, version: u64, fingerprint: u64) -> Child {
    Child {
        kind: Kind::Service,
        name: name.into(),
        uid: "u".into(),
        owner: Owner::Nobody,
        has_our_labels: true,
        is_deleting: false,
        fingerprint,
        version,
        detail: Detail::Nothing,
    }
}

#[test]
fn only_changes_wake_and_older_readings_do_not_count() {
    let cache = Cache::default();
    assert!(cache.put_child(&key(), child("chat", 5, 1)));
    assert!(!cache.put_child(&key(), child("chat", 6, 1)));
    assert!(!cache.put_child(&key(), child("chat", 4, 2)), "an older reading");
    assert_eq!(cache.children(&key())[0].fingerprint, 1);
    assert!(cache.put_child(&key(), child("chat", 7, 2)));
}

#[test]
fn what_was_read_anew_counts_but_for_what_is_newer() {
    let cache = Cache::default();
    for (name, version) in [("gone", 1), ("changed", 2), ("newer", 9), ("made since", 8)] {
        cache.put_child(&key(), child(name, version, 1));
    }
    cache.put_children(&key(), Kind::Service, vec![child("changed", 5, 2), child("newer", 4, 2)], 6);
    let left: Vec<_> = cache.children(&key()).into_iter().map(|child| (child.name, child.fingerprint)).collect();
    let expected = [("changed", 2), ("made since", 1), ("newer", 1)];
    assert_eq!(left, expected.map(|(name, fingerprint)| (name.to_owned(), fingerprint)));
}

#[test]
fn what_was_verified_counts_until_the_child_changes() {
    let cache = Cache::default();
    let one = child("chat", 5, 1);
    cache.put_child(&key(), one.clone());
    cache.verify(&key(), &child("chat", 4, 9), 6);
    assert_eq!(cache.verified(&key(), &one), None, "it was another reading");
    cache.verify(&key(), &one, 7);
    assert_eq!(cache.verified(&key(), &one), Some(7));
    cache.put_child(&key(), child("chat", 6, 1));
    assert_eq!(cache.verified(&key(), &one), Some(7), "only its status has changed");
    cache.put_child(&key(), child("chat", 7, 2));
    assert_eq!(cache.verified(&key(), &child("chat", 7, 2)), None);
}

#[test]
fn a_new_list_takes_away_what_it_does_not_name() {
    let cache = Cache::default();
    cache.put_child(&key(), child("old", 1, 1));
    cache.put_child(&key(), child("stays", 1, 1));
    let source = Source::Children(Kind::Service);
    cache.list_begins(source, None);
    cache.listed(source, None, &key(), "stays");
    assert_eq!(cache.list_ends(source, None), [key()]);
    assert_eq!(cache.children(&key()).len(), 1);
}

#[tokio::test]
async fn a_death_is_told_once_and_only_when_it_was_not_so_before() {
    let ended = |version: &str, boot: Option<&str>| {
        let exit =
            |boot| json!({ "terminated": { "exitCode": 137, "message": format!("chatd boot 00000000000000{boot}") } });
        let container = json!({
            "name": "chatd", "image": "i", "imageID": "i", "ready": false, "restartCount": 0,
            "state": boot.map_or_else(|| json!({ "running": {} }), exit),
        });
        let labels = json!({ "app.kubernetes.io/component": "chat" });
        let metadata = json!({ "name": "chat-0", "uid": "u", "resourceVersion": version, "labels": labels });
        let pod = json!({ "metadata": metadata, "status": { "containerStatuses": [container] } });
        PodRecord::of(&serde_json::from_value(pod).unwrap())
    };
    let cache = Cache::default();
    cache.put_pod(&key(), ended("1", Some("aa")));
    cache.put_pod(&key(), ended("2", None));
    cache.put_pod(&key(), ended("3", Some("ab")));
    cache.put_pod(&key(), ended("3", Some("ab")));
    cache.put_pod(&key(), ended("2", Some("ac")));
    let deaths = cache.next_deaths().await;
    let death = Death { pod: "chat-0".into(), boot: "00000000000000ab".into() };
    assert_eq!(deaths, [(key(), death)], "not what was there at first, and no older reading");
    let more = tokio::time::timeout(std::time::Duration::from_millis(1), cache.next_deaths()).await;
    assert!(more.is_err(), "{more:?}");
}

#[test]
fn the_children_of_one_owner_share_its_texts() {
    let cache = Cache::default();
    for name in ["chat", "chat-pods"] {
        let owner = Owner::Controller { uid: "uid-1".into(), name: "ChatDeployment/chat".into() };
        cache.put_child(&key(), Child { owner, ..child(name, 1, 1) });
    }
    let uids: Vec<_> = cache
        .children(&key())
        .into_iter()
        .map(|child| match child.owner {
            Owner::Controller { uid, .. } => uid,
            Owner::Nobody => panic!("{} has an owner", child.name),
        })
        .collect();
    assert!(Arc::ptr_eq(&uids[0], &uids[1]));
}
