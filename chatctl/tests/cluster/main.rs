//! `kubectl chatd`, as people run it, against a real cluster. Does I/O. Needs what the operator's live tests need (operator/tests/live):
//! KUBECONFIG, the installed CRD and the images; `hack/with-cluster NAME cargo test -p chatctl --test cluster -- --ignored`.
#![allow(clippy::unwrap_used)] // a test that cannot go on ends there

mod world;

use serde_json::Value;

use world::{World, run, told, wait_for};

#[test]
#[ignore = "needs a cluster: make test-operator"]
fn a_deployment_is_looked_at_loaded_and_drained() {
    let world = World::new();
    let chatd = |arguments: &[&str]| world.chatd(arguments);
    let json = |arguments: &[&str]| -> (i32, Value) {
        let (code, text) = chatd(&[arguments, &["-o", "json"]].concat());
        (code, serde_json::from_str(&text).unwrap_or_default())
    };
    wait_for("both pods serve", || {
        let (code, status) = json(&["status"]);
        let serves = |pod: &Value| pod["isReady"] == true && pod["answer"]["report"]["ready"] == true;
        let pods = status[0]["pods"].as_array().cloned().unwrap_or_default();
        code == 0 && pods.len() == 2 && pods.iter().all(serves)
    });

    let load = ["load", "--rooms", "4", "--players", "2", "--rate", "5", "--duration", "20", "-o", "json"];
    let load = world.start(&load);
    let mut rooms = Value::Null;
    wait_for("players are in all rooms", || {
        rooms = json(&["rooms", "--min-players", "2"]).1;
        rooms.as_array().is_some_and(|rooms| rooms.len() == 4)
    });
    let room = rooms[0]["room"].as_str().unwrap();
    wait_for("owner, record and lease agree", || chatd(&["room", room]).1.contains("Nothing is wrong."));
    assert_eq!(json(&["room", room]).1["told"].as_array().unwrap().len(), 2);
    assert_eq!(chatd(&["room", "zzzzzzzz"]).0, 1);

    let owner = rooms[0]["pod"].as_str().unwrap();
    let owned = rooms.as_array().unwrap().iter().filter(|room| room["pod"] == owner).count();
    let (_, table) = chatd(&["rooms", "--pod", owner, "-o", "wide"]);
    assert_eq!(table.lines().count(), owned + 1, "{table}");
    let (code, table) = chatd(&["balance"]);
    assert!(code == 0 && table.contains("nothing would move"), "{table}");
    let (_, logs) = chatd(&["logs", "--tail", "50"]);
    assert!(["chat-0 | ", "chat-1 | "].iter().all(|pod| logs.contains(pod)), "{logs}");

    let (code, drained) = json(&["drain", owner]);
    assert_eq!((code, &drained["left"], &drained["rooms"]), (0, &Value::Array(Vec::new()), &owned.into()), "{drained}");
    let count = |field: &str| drained[field].as_u64().unwrap();
    assert_eq!(count("moved") + count("ended"), count("rooms"), "{drained}");
    assert_eq!(chatd(&["drain", "chat-valkey-0"]).0, 3, "that is no chat pod");
    let (code, verdict) = told(&load.finish());
    assert!(code == 0 && verdict.contains("\"lost\": 0"), "{verdict}");
    wait_for("its successor is ready", || {
        json(&["status"]).1[0]["pods"].as_array().is_some_and(|pods| pods.len() == 2)
    });

    rotation(&world);
    bundle(&world);
}

fn rotation(world: &World) {
    wait_for("all pods accept the first key", || world.chatd(&["keys", "list"]).0 == 0);
    assert_eq!(world.chatd(&["keys", "retire"]).0, 3, "there is one key");
    let rotate = world.start(&["keys", "rotate"]);
    wait_for("the Secret has a second key", || world.secrets("chat-token-keys").len() == 2);
    world.hurry_files();
    let (code, text) = told(&rotate.finish());
    assert!(code == 0 && text.contains("All pods accept"), "{text}");
    assert_eq!(world.chatd(&["keys", "rotate"]).0, 3, "one at a time");
    assert_eq!(world.chatd(&["keys", "retire", "--sessions", "0"]).0, 3, "it is too new");
}

fn bundle(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.tar.gz");
    let (code, text) = world.chatd(&["support-bundle", "--file", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    let content = run("tar", &["-xOzf", file.to_str().unwrap()]);
    for part in ["kind: ChatDeployment", "kubernetes: ", "chatd_token_keys 2", "Nothing is wrong", "lease acquired"] {
        assert!(content.contains(part), "{part}");
    }
    let secrets: Vec<String> = ["chat-token-keys", "chat-valkey"].iter().flat_map(|name| world.secrets(name)).collect();
    assert_eq!(secrets.len(), 4, "two token keys, the password, and the list of users");
    for secret in secrets {
        assert!(!content.contains(&secret), "a Secret's value is in the bundle");
    }
}
