//! `rooms` and `room`: the rooms of all pods, and all that is known of one. Does I/O: asks, then prints.

mod list;
mod one;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use crate::admin::{self, Admin};
use crate::cluster::Cluster;
use crate::inspected::{Room, Told};
use crate::output::{self, Format, Outcome};
pub use list::Selection;
use list::{Owned, select};
use one::Known;

/// The rooms of a ChatDeployment, or those of one pod.
pub async fn list_of_cluster(
    cluster: &Cluster,
    name: Option<&str>,
    pod: Option<&str>,
    selection: &Selection,
    format: Format,
) -> Result<Outcome> {
    let deployment = cluster.deployment(name).await?;
    let mut answers = cluster.ask_all(&deployment, Admin::rooms).await?;
    if let Some(pod) = pod {
        answers.retain(|(name, _)| name == pod);
        ensure!(!answers.is_empty(), "no running pod of this ChatDeployment has the name {pod}");
    }
    show_list(answers, selection, format)
}

/// The rooms of one process.
pub async fn list_of_process(address: &str, selection: &Selection, format: Format) -> Result<Outcome> {
    let rooms = admin::ask_at(address, Admin::rooms).await?;
    show_list(vec![(address.to_owned(), Ok(rooms))], selection, format)
}

fn show_list(answers: Vec<(String, Result<Vec<Room>>)>, selection: &Selection, format: Format) -> Result<Outcome> {
    let (mut rooms, mut outcome) = (Vec::new(), Outcome::Well);
    for (pod, answer) in answers {
        match answer {
            Ok(answered) => rooms.extend(answered.into_iter().map(|room| Owned { pod: pod.clone(), room })),
            Err(error) => {
                eprintln!("warning: the rooms of {pod} are missing: {error:#}");
                outcome = Outcome::Wrong;
            }
        }
    }
    let rooms = select(rooms, selection);
    if format.is_table() {
        output::print(&list::text(&rooms, now(), format == Format::Wide))?;
    } else {
        output::print(&format.document(&rooms)?)?;
    }
    Ok(outcome)
}

/// A room of a ChatDeployment.
pub async fn one_of_cluster(cluster: &Cluster, name: Option<&str>, room: &str, format: Format) -> Result<Outcome> {
    check(room)?;
    let deployment = cluster.deployment(name).await?;
    let answers = cluster.ask_all(&deployment, async |admin: &mut Admin| admin.room(room).await).await?;
    ensure!(!answers.is_empty(), "no pod runs that could be asked");
    show_one(room, answers, format)
}

/// A room, as one process knows it: the record and the lease tell of others, too.
pub async fn one_of_process(address: &str, room: &str, format: Format) -> Result<Outcome> {
    check(room)?;
    let told = admin::ask_at(address, async |admin: &mut Admin| admin.room(room).await).await?;
    let name = told.pod.clone();
    show_one(room, vec![(name, Ok(told))], format)
}

fn show_one(room: &str, answers: Vec<(String, Result<Told>)>, format: Format) -> Result<Outcome> {
    let (mut told, mut silent) = (Vec::new(), Vec::new());
    for (pod, answer) in answers {
        match answer {
            Ok(answer) => told.push(answer),
            Err(error) => silent.push((pod, format!("{error:#}"))),
        }
    }
    let known = Known::new(room, told, silent);
    output::print(&if format.is_table() { known.text(now()) } else { format.document(&known)? })?;
    Ok(Outcome::of(&known.findings))
}

/// The id goes into a path.
fn check(room: &str) -> Result<()> {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = room.as_bytes();
    let ends = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
    let is_id = bytes.len() <= 64 && ends && bytes.iter().all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'));
    ensure!(is_id, "a room's id is 1 to 64 characters of a-z, 0-9, ., _ and -, with a letter or digit at both ends");
    Ok(())
}

/// Unix ms.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
