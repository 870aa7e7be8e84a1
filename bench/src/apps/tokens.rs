//! JOINs with join tokens, each with a token that the server has not seen. Does I/O.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::{Bench, Work, rates};
use crate::chatd::{Chatd, Way};
use crate::joins::{self, Hosted};
use crate::peers::Contestant;
use crate::talk::Talk;

const ROOMS: usize = 1_000;
const CLIENTS: usize = 16;
/// JOINs of each client in a round.
const JOINS: usize = 400;

/// A key that tokens are signed with.
struct Signer {
    name: &'static str,
    header: Header,
    key: EncodingKey,
}

pub fn measure(bench: &Bench) -> Result<String> {
    let folder = bench.place.scratch.join("join-keys");
    let signers = signers(&folder)?;
    let more = ["--join-keys-file".into(), folder.into_os_string()];
    let chatd = Chatd::start_with(&bench.place, &bench.options.chatd, &bench.redis, "tokens", Way::Lines, &more)?;
    let hosted = joins::host(&chatd, ROOMS)?;
    let mut rows = vec![("no token", None, Vec::new())];
    rows.extend(signers.iter().map(|signer| (signer.name, Some(signer), Vec::new())));
    for round in 0..bench.options.rounds {
        for (name, signer, works) in &mut rows {
            works.push(joins(&chatd, &hosted, *signer, round)?);
            eprintln!("round {}: JOIN, {name}: {:?}", round + 1, works.last());
        }
    }
    let mut out = format!(
        "## JOINs with join tokens\n\n{CLIENTS} clients by lines join one of {ROOMS} rooms with somebody in it, and leave, one after the other; \
         each JOIN shows a token that the pod has not seen. Redis on loopback. The figures are of a JOIN with its LEAVE.\n\n\
         | token | a CPU second of the server | a second |\n|---|---|---|\n"
    );
    for (name, _, works) in &rows {
        let _ = writeln!(out, "| {name} | {} |", rates(works));
    }
    Ok(out)
}

/// The keys, whose public halves are in `folder` then.
fn signers(folder: &std::path::Path) -> Result<Vec<Signer>> {
    std::fs::create_dir_all(folder)?;
    let mut signers = Vec::new();
    let mut add = |name, algorithm, kid: &str, key| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
        signers.push(Signer { name, header, key });
    };
    std::fs::write(folder.join("secret"), crate::chatd::KEY)?;
    let secret =
        (0..crate::chatd::KEY.len()).step_by(2).map(|at| u8::from_str_radix(&crate::chatd::KEY[at..at + 2], 16));
    add("HS256", Algorithm::HS256, "secret", EncodingKey::from_secret(&secret.collect::<Result<Vec<_>, _>>()?)?);
    let ed = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    std::fs::write(folder.join("ed.pem"), ed.public_key_pem())?;
    add("EdDSA", Algorithm::EdDSA, "ed", EncodingKey::from_ed_der(&ed.serialize_der()));
    let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    std::fs::write(folder.join("p256.pem"), p256.public_key_pem())?;
    add("ES256", Algorithm::ES256, "p256", EncodingKey::from_ec_der(&p256.serialize_der()));
    Ok(signers)
}

/// One round. The tokens are signed before it begins.
fn joins(chatd: &Chatd, hosted: &Hosted, signer: Option<&Signer>, round: usize) -> Result<Work> {
    let expires = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)? + Duration::from_hours(1);
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let rooms = hosted.names.iter().skip(client).step_by(CLIENTS).cycle().take(JOINS).enumerate();
        let lines = rooms.map(|(index, room)| {
            let Some(signer) = signer else { return Ok(format!("JOIN {room} guest\n")) };
            let claims = serde_json::json!({
                "sub": format!("user-{client}"), "exp": expires.as_secs(), "room": room, "jti": format!("{round}-{index}"),
            });
            Ok(format!("JOIN {room} guest AUTH={}\n", jsonwebtoken::encode(&signer.header, &claims, &signer.key)?))
        });
        clients.push((Talk::connect(chatd.owner().tcp)?, lines.collect::<Result<Vec<_>>>()?));
    }
    let (started, before) = (Instant::now(), chatd.cpu()?);
    std::thread::scope(|scope| {
        let join = |(mut talk, lines): (Talk, Vec<String>)| -> Result<()> {
            for line in lines {
                talk.send(&line)?;
                talk.line_that_starts("JOINED ")?;
                talk.send("LEAVE\n")?;
                talk.line_that_starts("LEFT ")?;
            }
            Ok(())
        };
        let threads = clients.into_iter().map(|client| scope.spawn(move || join(client))).collect::<Vec<_>>();
        threads.into_iter().try_for_each(|thread| thread.join().ok().context("a client panicked")?)
    })?;
    Ok(Work { count: (CLIENTS * JOINS) as u64, elapsed: started.elapsed(), cpu: chatd.cpu()?.since(before) })
}
