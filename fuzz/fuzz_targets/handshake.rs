//! Any bytes as what a stranger says at the peer port, or where a pod was dialled: no panic, and no proof without the key.
#![no_main]

use std::sync::LazyLock;

use chatd::peer::channel::Channels;
use chatd::peer::handshake::{self, Dialling, Identity, Listening, MAX_MESSAGE, Nonce};
use chatd::protocol::PodBoot;
use chatd::protocol::token::Keyring;
use libfuzzer_sys::fuzz_target;

static CHANNELS: LazyLock<Channels> = LazyLock::new(|| Channels::new().expect("a certificate"));
static KEYS: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::new(vec![("key".to_owned(), vec![7; 32])], "key").expect("a key"));

fn pod(boot: u64) -> Identity {
    let (pod_id, peer) = (format!("chat-{boot}"), format!("10.0.0.{boot}:7755"));
    Identity { pod_id, uid: String::new(), boot: PodBoot(boot), peer }
}

fuzz_target!(|bytes: &[u8]| {
    // Before anything is encrypted.
    let _ = handshake::is_unencrypted(bytes);
    for channel in [CHANNELS.listen(), CHANNELS.dial()] {
        let mut channel = channel.expect("a channel");
        let mut said = Vec::new();
        let _ = channel.receive(bytes, &mut said);
        assert!(said.is_empty() && channel.is_new());
    }
    // As what is said over a channel: a hello and a commit, or a hello and a proof, with a zero byte between them.
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (first, second) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    if let Ok((listening, [hello, proof])) = Listening::answer(&pod(1), &KEYS, Nonce(8), &[5; 32], first) {
        assert!(hello.len() < MAX_MESSAGE && proof.len() < MAX_MESSAGE);
        assert!(listening.committed(&KEYS, second).is_err());
    }
    let dialling = Dialling::new(pod(1), PodBoot(2), Nonce(7), [5; 32]);
    assert!(dialling.greeted(&KEYS, first, second).is_err());
    let _ = handshake::read_verdict(first);
});
