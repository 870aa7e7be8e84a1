//! Tests of the handshake: which peers it admits, and which not.
#![allow(clippy::unwrap_used)]

use super::*;

fn ring(secret: u8) -> Keyring {
    Keyring::new(vec![("key".to_owned(), vec![secret; 32])], "key").unwrap()
}

/// Of the channel over which the two speak.
const CHANNEL: Binding = [5; 32];

fn to_two(me: &Identity, nonce: u128) -> Dialling {
    Dialling::new(me.clone(), PodBoot(2), Nonce(nonce), CHANNEL)
}

fn answer(me: &Identity, keys: &Keyring, nonce: u128, hello: &[u8]) -> Result<(Listening, [Vec<u8>; 2]), Refusal> {
    Listening::answer(me, keys, Nonce(nonce), &CHANNEL, hello)
}

fn pod(boot: u64) -> Identity {
    Identity {
        pod_id: format!("chat-{boot}"),
        uid: "u".to_owned(),
        boot: PodBoot(boot),
        peer: format!("10.0.0.{boot}:7755"),
    }
}

/// Runs a handshake of two pods; what each made of it.
fn shake(
    dialler: (&Identity, &Keyring),
    listener: (&Identity, &Keyring),
    last: Option<Nonce>,
) -> Result<(Peer, Peer, Option<Nonce>), Refusal> {
    let dialling = Dialling::new(dialler.0.clone(), listener.0.boot, Nonce(7), CHANNEL);
    let (listening, [hello, proof]) = answer(listener.0, listener.1, 8, dialling.hello())?;
    let greeted = dialling.greeted(dialler.1, &hello, &proof)?;
    let commit = greeted.commit(dialler.1, last);
    let (peer, last) = listening.committed(listener.1, &commit)?;
    Ok((greeted.peer, peer, last))
}

#[test]
fn two_pods_of_a_deployment_know_each_other() {
    let (one, two, keys) = (pod(1), pod(2), ring(1));
    let (of_dialler, of_listener, last) = shake((&one, &keys), (&two, &keys), Some(Nonce(u128::MAX))).unwrap();
    assert_eq!((of_dialler.identity, of_listener.identity), (two, one));
    assert_eq!((of_dialler.link, of_listener.link), (Nonce(7), Nonce(7)));
    assert_eq!((of_dialler.version, of_listener.version), (VERSION, VERSION));
    assert_eq!(last, Some(Nonce(u128::MAX)));
}

#[test]
fn keys_may_be_in_rotation() {
    let both = |signs| Keyring::new(vec![("a".to_owned(), vec![1; 32]), ("b".to_owned(), vec![2; 32])], signs).unwrap();
    assert!(shake((&pod(1), &both("a")), (&pod(2), &both("b")), None).is_ok());
}

#[test]
fn another_key_is_refused_by_both() {
    let (one, two) = (pod(1), pod(2));
    assert_eq!(shake((&one, &ring(1)), (&two, &ring(2)), None), Err(Refusal::WrongKey));
    // A dialler that goes on all the same gets no further.
    let dialling = to_two(&one, 7);
    let (listening, [hello, _]) = answer(&two, &ring(2), 8, dialling.hello()).unwrap();
    let transcript = transcript(&CHANNEL, dialling.hello(), &hello);
    let key = ring(1).verify_mac("", b"", &ring(1).mac("", b"")).unwrap();
    let peer = Peer { identity: two, version: VERSION, link: Nonce(7), key };
    let forged = Greeted { peer, transcript }.commit(&ring(1), None);
    assert_eq!(listening.committed(&ring(2), &forged), Err(Refusal::WrongKey));
}

#[test]
fn oneself_and_other_deployments_are_refused() {
    let keys = ring(1);
    assert_eq!(shake((&pod(1), &keys), (&pod(1), &keys), None), Err(Refusal::Oneself));
    let other = Identity { uid: "v".to_owned(), ..pod(2) };
    assert_eq!(shake((&pod(1), &keys), (&other, &keys), None), Err(Refusal::OtherDeployment));
}

/// Without the key, with all that was ever heard and with listeners that prove whatever they are asked to.
#[test]
fn what_was_heard_does_not_help() {
    let (one, two, keys) = (pod(1), pod(2), ring(1));
    let old = to_two(&one, 7);
    let (_, [old_hello, old_proof]) = answer(&two, &keys, 8, old.hello()).unwrap();
    let old_first = old.hello().to_vec();
    let old_commit = old.greeted(&keys, &old_hello, &old_proof).unwrap().commit(&keys, None);

    // Replay to a listener, which has a nonce of its own each time.
    let (listening, _) = answer(&two, &keys, 9, &old_first).unwrap();
    assert_eq!(listening.committed(&keys, &old_commit), Err(Refusal::WrongKey));
    // Replay to a dialler.
    let dialling = to_two(&one, 10);
    assert_eq!(dialling.greeted(&keys, &old_hello, &old_proof).unwrap_err(), Refusal::WrongKey);
    // Reflection: a listener's proof as a dialler's.
    let (listening, [hello, proof]) = answer(&two, &keys, 11, &old_first).unwrap();
    let proof: Proof = read(&proof).unwrap();
    let reflected = write(&Commit { content: String::from_utf8(hello).unwrap(), mac: proof.mac });
    assert_eq!(listening.committed(&keys, &reflected), Err(Refusal::WrongKey));
    // A proof for one pod, shown as another's.
    let dialling = to_two(&one, 12);
    let (_, [hello, proof]) = answer(&two, &keys, 13, dialling.hello()).unwrap();
    let renamed = String::from_utf8(hello).unwrap().replace("0000000000000002", "0000000000000003");
    assert_eq!(dialling.greeted(&keys, renamed.as_bytes(), &proof).unwrap_err(), Refusal::WrongKey);
}

/// A process in the middle has a channel with each, and passes on what they say.
#[test]
fn proofs_are_good_for_their_channel_only() {
    let (one, two, keys) = (pod(1), pod(2), ring(1));
    let other: Binding = [6; 32];
    let dialling = to_two(&one, 7);
    let (listening, [hello, proof]) = Listening::answer(&two, &keys, Nonce(8), &other, dialling.hello()).unwrap();
    let transcript = transcript(&CHANNEL, dialling.hello(), &hello);
    assert_eq!(dialling.greeted(&keys, &hello, &proof).unwrap_err(), Refusal::WrongKey);
    // A dialler that goes on all the same.
    let key = keys.verify_mac("", b"", &keys.mac("", b"")).unwrap();
    let greeted = Greeted { peer: Peer { identity: two, version: VERSION, link: Nonce(7), key }, transcript };
    assert_eq!(listening.committed(&keys, &greeted.commit(&keys, None)), Err(Refusal::WrongKey));
}

#[test]
fn each_side_says_whom_it_means() {
    let (one, two, keys) = (pod(1), pod(2), ring(1));
    // The listener is not whom the dialler means: it says who it is, and takes no link.
    let wrong = Dialling::new(one.clone(), PodBoot(3), Nonce(7), CHANNEL);
    let (listening, [hello, proof]) = answer(&two, &keys, 8, wrong.hello()).unwrap();
    assert!(!listening.meant());
    let greeted = wrong.greeted(&keys, &hello, &proof).unwrap();
    assert_eq!(greeted.peer.identity, two);
    assert_eq!(listening.committed(&keys, &greeted.commit(&keys, None)), Err(Refusal::OtherProcess));
    // The listener has heard another dialler's hello.
    let dialling = to_two(&one, 7);
    let text = String::from_utf8(super::hello(&two, PodBoot(9), Nonce(8))).unwrap();
    let proof = STANDARD.encode(keys.mac(LISTENER, &transcript(&CHANNEL, dialling.hello(), text.as_bytes())));
    let proof = write(&Proof { mac: proof });
    assert_eq!(dialling.greeted(&keys, text.as_bytes(), &proof).unwrap_err(), Refusal::OtherProcess);
}

#[test]
fn a_pod_of_the_version_without_encryption_is_known() {
    let hello = br#"{"chatd_peer":1,"pod_id":"chat-1"}"#;
    let first = [&(hello.len() as u32).to_be_bytes()[..], hello].concat();
    assert!(is_unencrypted(&first));
    for other in [&b""[..], b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n", b"\0\0\0\x02{}"] {
        assert!(!is_unencrypted(other));
    }
}

#[test]
fn what_a_commit_says_cannot_be_changed() {
    let (one, two, keys) = (pod(1), pod(2), ring(1));
    let dialling = to_two(&one, 7);
    let (listening, [hello, proof]) = answer(&two, &keys, 8, dialling.hello()).unwrap();
    let commit = dialling.greeted(&keys, &hello, &proof).unwrap().commit(&keys, Some(Nonce(5)));
    let changed = String::from_utf8(commit).unwrap().replace("00005", "00006");
    assert_eq!(listening.committed(&keys, changed.as_bytes()), Err(Refusal::WrongKey));
}

#[test]
fn later_versions_are_met_and_older_ones_refused() {
    let (two, keys) = (pod(2), ring(1));
    let say = |version: u32| {
        let text = String::from_utf8(to_two(&pod(1), 7).hello().to_vec()).unwrap();
        let text =
            text.replace(&format!("\"chatd_peer\":{VERSION}"), &format!("\"chatd_peer\":{version},\"later\":[1]"));
        answer(&two, &keys, 8, text.as_bytes()).map(|(listening, _)| listening.version)
    };
    assert_eq!(say(9).unwrap(), VERSION);
    assert_eq!(say(OLDEST_VERSION).unwrap(), OLDEST_VERSION);
    assert_eq!(say(1).unwrap_err(), Refusal::TooOld(1));
}

#[test]
fn rubbish_is_refused() {
    let (two, keys) = (pod(2), ring(1));
    for rubbish in [&b""[..], b"{}", b"GET / HTTP/1.1", &[0xff; 64], br#"{"chatd_peer":2}"#] {
        assert_eq!(answer(&two, &keys, 8, rubbish).unwrap_err(), Refusal::NotAPeer);
        assert_eq!(read_verdict(rubbish), Err(Refusal::NotAPeer));
    }
    assert_eq!((read_verdict(&verdict(true)), read_verdict(&verdict(false))), (Ok(true), Ok(false)));
    assert!(to_two(&pod(1), 7).hello().len() < MAX_MESSAGE);
}
