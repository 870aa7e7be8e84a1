//! Files as they are in life: written, renamed over, swapped by symlink as Kubernetes does, and wrong.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::settings::JoinSettings;

const QUICK: Duration = Duration::from_millis(10);
/// Long enough for a busy machine; nobody waits for it where all is well.
const DEADLINE: Duration = Duration::from_secs(20);

fn key(id: &str) -> Key {
    Key { id: id.to_owned(), secret: id.as_bytes().repeat(32) }
}

fn key_text(id: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(key(id).secret) + "\n"
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, test).await.expect("in time") });
}

/// Puts `files` where `mount` shows them, as the kubelet does: a new directory, then one rename of the symlink `..data`.
fn mount_secret(mount: &Path, version: &str, files: &[(&str, &str)]) {
    let directory = mount.join(format!("..{version}"));
    fs::create_dir(&directory).unwrap();
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
    }
    symlink(format!("..{version}"), mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    for (name, _) in files {
        if !mount.join(name).exists() {
            symlink(format!("..data/{name}"), mount.join(name)).unwrap();
        }
    }
    for entry in fs::read_dir(mount).unwrap().map(Result::unwrap) {
        if !entry.path().exists() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

#[test]
fn a_symlink_that_is_swapped_is_seen() {
    run(async {
        let mount = tempfile::tempdir().unwrap();
        mount_secret(mount.path(), "1", &[("password", "one\n")]);
        let path = mount.path().join("password");
        let mut watcher = Watcher::start(&path, read_password, ReloadFailures::default()).unwrap().every(QUICK);
        assert_eq!(watcher.current(), "one");
        mount_secret(mount.path(), "2", &[("password", "two\n")]);
        assert_eq!(watcher.changed().await, "two");
        fs::write(mount.path().join("next"), "three").unwrap();
        fs::rename(mount.path().join("next"), &path).unwrap();
        assert_eq!(watcher.changed().await, "three");
    });
}

#[test]
fn a_bad_content_keeps_the_old_one_and_is_counted_once() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        fs::write(&path, "one").unwrap();
        let failures = ReloadFailures::default();
        let mut watcher = Watcher::start(&path, read_password, failures.clone()).unwrap().every(QUICK);
        for (count, bad) in [(1, vec![]), (2, vec![b'x'; MAX_FILE + 1]), (3, vec![0xff])] {
            fs::write(&path, bad).unwrap();
            // Twice: what is wrong is counted when it is new.
            assert!(!watcher.look().await);
            assert!(!watcher.look().await);
            assert_eq!((failures.count(), watcher.current().as_str()), (count, "one"));
        }
        fs::remove_file(&path).unwrap();
        assert!(!watcher.look().await);
        assert_eq!((failures.count(), watcher.current().as_str()), (4, "one"));
        fs::write(&path, "one").unwrap();
        assert!(!watcher.look().await, "the same again is no change");
        fs::write(&path, "two").unwrap();
        assert_eq!(watcher.changed().await, "two");
        assert_eq!(failures.count(), 4);
    });
}

#[test]
fn files_are_bounded_regular_and_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    assert!(matches!(read_bytes(&path), Err(FileError::Missing { .. })));
    fs::write(&path, vec![b'x'; MAX_FILE]).unwrap();
    assert_eq!(read_bytes(&path).unwrap().len(), MAX_FILE);
    fs::write(&path, vec![b'x'; MAX_FILE + 1]).unwrap();
    assert!(matches!(read_bytes(&path), Err(FileError::TooLong { .. })));
    assert!(matches!(read_bytes(directory.path()), Err(FileError::Wrong { .. })));
    assert!(matches!(read_bytes(Path::new("/dev/zero")), Err(FileError::Wrong { .. })));
    fs::write(&path, " pass word \r\n").unwrap();
    assert_eq!(read_password(&path).unwrap(), " pass word ");
}

#[test]
fn a_file_of_addresses_may_come_later() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("addresses");
        let failures = ReloadFailures::default();
        let absent = std::collections::HashMap::new();
        let watcher = Watcher::start_or(&path, read_addresses, absent.clone(), failures.clone());
        let mut watcher = watcher.unwrap().every(QUICK);
        assert_eq!((watcher.current().len(), failures.count()), (0, 0));
        fs::write(&path, r#"{"chat-0":{"tcp":"a.example:1","web":"[fd00::1]:2","note":"ignored"}}"#).unwrap();
        let addresses = watcher.changed().await;
        assert_eq!(
            (addresses["chat-0"].tcp.as_str(), addresses["chat-0"].web.as_str()),
            ("a.example:1", "[fd00::1]:2")
        );
        fs::write(&path, r#"{"chat-0":{"tcp":"a.example"}}"#).unwrap();
        assert!(!watcher.look().await);
        assert_eq!(failures.count(), 1);
        fs::write(&path, r#"{"chat-0":{"tcp":"0.0.0.0:1","web":"a:1"}}"#).unwrap();
        assert!(read_addresses(&path).is_err(), "nobody can go there");
        let error = read_addresses(&path).unwrap_err().to_string();
        assert!(error.contains("must be JSON such as"), "{error}");
        assert!(Watcher::start_or(&path, read_addresses, absent, failures).is_err(), "wrong is not absent");
    });
}

#[test]
fn keys_are_read_from_a_file_or_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, key_text("a")).unwrap();
    assert_eq!(read_keys(&file).unwrap(), [Key { id: "key".to_owned(), secret: key("a").secret }]);

    let mount = directory.path().join("mount");
    fs::create_dir(&mount).unwrap();
    assert!(read_keys(&mount).unwrap_err().to_string().contains("holds no key"));
    mount_secret(&mount, "1", &[("b", &key_text("b")), ("B", &key_text("B")), ("a", &key_text("a"))]);
    assert_eq!(read_keys(&mount).unwrap(), ["B", "a", "b"].map(key), "bytewise, without what starts with a dot");

    symlink("..data/gone", mount.join("gone")).unwrap();
    assert_eq!(read_keys(&mount).unwrap().len(), 3, "a symlink to nothing is a key that was taken out");

    fs::write(mount.join("short"), "c2hvcnQ=").unwrap();
    let error = read_keys(&mount).unwrap_err().to_string();
    assert!(error.contains("short") && error.contains("32") && !error.contains("c2hvcnQ"), "{error}");
    fs::remove_file(mount.join("short")).unwrap();
    for index in 0..crate::protocol::token::MAX_KEYS {
        fs::write(mount.join(format!("more-{index}")), key_text("m")).unwrap();
    }
    assert!(read_keys(&mount).unwrap_err().to_string().contains("more than"));
}

#[test]
fn join_keys_are_read_again_and_a_broken_file_changes_nothing() {
    const ONE: &str =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"one"}]}"#;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    assert!(matches!(read_join_keys(&path), Err(FileError::Missing { .. })));
    fs::write(&path, ONE).unwrap();
    run(async {
        let failures = ReloadFailures::default();
        let mut watcher = Watcher::start(&path, read_join_keys, failures.clone()).unwrap();
        let first = watcher.current().clone();
        for wrong in [
            "",
            "{\"keys\":[{\"kty\":\"new\"}]}",
            &ONE.replace("11qY", "11q"),
            &ONE.replace("\"kid\"", "\"d\":\"x\",\"kid\""),
        ] {
            fs::write(&path, wrong).unwrap();
            assert!(!watcher.look().await, "{wrong}");
            assert_eq!(watcher.current(), &first);
        }
        assert_eq!(failures.count(), 4);
        fs::write(&path, ONE.replace("one", "two")).unwrap();
        assert!(watcher.look().await);
        assert_ne!(watcher.current(), &first);
        fs::write(&path, "{\"keys\":[]}").unwrap();
        assert!(watcher.look().await && watcher.current().count() == 0, "the last one is taken away");
    });
    let mount = directory.path().join("mount");
    fs::create_dir(&mount).unwrap();
    assert_eq!(read_join_keys(&mount).unwrap().count(), 0, "the last one may be taken away");
    let settings = JoinSettings { keys_file: Some(mount.clone()), ..JoinSettings::default() };
    let error = JoinKeyWatch::start(&settings, ReloadFailures::default()).unwrap_err().to_string();
    assert!(error.contains("no key"), "{error}");
    mount_secret(&mount, "1", &[("b.pem", &key_text("b")), ("a", &key_text("a"))]);
    assert_eq!(format!("{:?}", read_join_keys(&mount).unwrap()), r#"["a", "b"]"#);
    symlink("..data/gone", mount.join("gone")).unwrap();
    assert_eq!(read_join_keys(&mount).unwrap().count(), 2);
    fs::write(mount.join("short"), "c2hvcnQ=").unwrap();
    let error = read_join_keys(&mount).unwrap_err().to_string();
    assert!(error.contains("short") && !error.contains("c2hvcnQ"), "{error}");
}

const RIPE: u64 = RIPE_AFTER.as_millis() as u64;
/// 2026-11-28, 12:00 UTC.
const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_795_867_200, 0);

#[test]
fn a_key_that_is_alone_at_start_signs_at_once() {
    let mut schedule = KeySchedule::new(vec![key("a")], 1000, NOW);
    assert_eq!(schedule.at(1000).signing, "a");
    assert_eq!(schedule.next_ripe(1000), None);
    schedule.replace(vec![key("a"), key("b")], 5000);
    assert_eq!(schedule.at(5000).keys.len(), 2, "the new key is accepted at once");
    assert_eq!(schedule.next_ripe(5000), Some(5000 + RIPE));
    assert_eq!(schedule.at(5000 + RIPE - 1).signing, "a");
    assert_eq!(schedule.at(5000 + RIPE).signing, "b");
    schedule.replace(vec![key("b")], 5000 + RIPE);
    assert_eq!(schedule.at(5000 + RIPE).signing, "b");
}

#[test]
fn of_several_at_start_the_newest_waits() {
    let schedule = KeySchedule::new(["a", "b", "c"].map(key).to_vec(), 0, NOW);
    assert_eq!(schedule.at(0).signing, "b");
    assert_eq!(schedule.at(RIPE - 1).signing, "b");
    assert_eq!(schedule.at(RIPE).signing, "c");
}

#[test]
fn a_pod_that_starts_long_after_a_rotation_signs_with_the_newest_at_once() {
    let signs = |ids: [&str; 2]| KeySchedule::new(ids.map(key).to_vec(), 0, NOW).at(0).signing;
    assert_eq!(signs(["20261101000000", "20261128115000"]), "20261128115000", "ten minutes old");
    assert_eq!(signs(["20261101000000", "20261128115001"]), "20261101000000", "others may lack it");
    assert_eq!(signs(["20261101000000", "20261129000000"]), "20261101000000", "of the future");
    assert_eq!(signs(["20261101000000", "20261328115000"]), "20261101000000", "no time");
}

#[test]
fn a_lesser_id_never_takes_over() {
    let mut schedule = KeySchedule::new(vec![key("b")], 0, NOW);
    schedule.replace(vec![key("a"), key("b")], 0);
    assert_eq!(schedule.at(10 * RIPE).signing, "b");
}

#[test]
fn all_replaced_at_once_still_signs() {
    let mut schedule = KeySchedule::new(vec![key("a")], 0, NOW);
    schedule.replace(vec![key("b")], RIPE);
    assert_eq!(schedule.at(RIPE).signing, "b");
    schedule.replace(vec![key("c"), key("d")], 2 * RIPE);
    assert_eq!(schedule.at(2 * RIPE).signing, "c");
}

#[test]
fn another_secret_under_an_old_id_is_a_new_key() {
    let mut schedule = KeySchedule::new(vec![key("a"), key("b")], 0, NOW);
    let renewed = Key { id: "b".to_owned(), secret: vec![7; 32] };
    schedule.replace(vec![key("a"), renewed], RIPE);
    assert_eq!(schedule.at(RIPE).signing, "a");
    assert_eq!(schedule.at(2 * RIPE).signing, "b");
}

#[test]
fn rotation_by_a_swapped_mount() {
    run(async {
        let mount = tempfile::tempdir().unwrap();
        mount_secret(mount.path(), "1", &[("1", &key_text("1"))]);
        let failures = ReloadFailures::default();
        let mut watch = KeyWatch::start(mount.path(), failures.clone()).unwrap().every(QUICK);
        assert_eq!(watch.current().signing, "1");
        mount_secret(mount.path(), "2", &[("1", &key_text("1")), ("2", &key_text("2"))]);
        let keys = watch.changed().await;
        assert_eq!((keys.keys.len(), keys.signing.as_str()), (2, "1"));
        mount_secret(mount.path(), "3", &[("2", &key_text("2"))]);
        let keys = watch.changed().await;
        assert_eq!((keys.keys.len(), keys.signing.as_str()), (1, "2"));
        assert_eq!(failures.count(), 0);
        assert_eq!(keys.keyring().unwrap().signing_id(), "2");
        assert!(!format!("{keys:?} {watch:?}").contains("50, 50"), "no secret in debug output");
    });
}

#[test]
fn secrets_of_the_webhook_come_from_a_file_or_a_mount_and_change() {
    const OLD: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    const NEW: &str = "whsec_GBkaGxwdHh8gISIjJCUmJygpKissLS4v";
    run(async {
        let mount = tempfile::tempdir().unwrap();
        mount_secret(mount.path(), "1", &[("a", OLD)]);
        let failures = ReloadFailures::default();
        let start = Watcher::start(mount.path(), read_webhook_secrets, failures.clone());
        let mut watcher = start.unwrap().every(QUICK);
        let old = watcher.current().clone();
        mount_secret(mount.path(), "2", &[("a", OLD), ("b", NEW)]);
        let both = watcher.changed().await;
        let file = mount.path().join("..both");
        fs::write(&file, format!("{OLD}\n{NEW}\n")).unwrap();
        assert_eq!((read_webhook_secrets(&file).unwrap() == both, both == old), (true, false));
        mount_secret(mount.path(), "3", &[("a", "not a secret")]);
        while failures.count() == 0 {
            assert!(!watcher.look().await);
        }
        assert_eq!(*watcher.current(), both);
        let error = read_webhook_secrets(mount.path()).unwrap_err().to_string();
        assert!(error.contains("whsec_") && !error.contains("not a secret"), "{error}");
    });
    assert!(matches!(read_authorities(Path::new("/nowhere")), Err(FileError::Missing { .. })));
}
