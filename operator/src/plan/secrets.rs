//! The Secrets with random values: created once, repaired, never compared. Pure: no I/O.

use super::child::{Standing, standing};
use super::observed::{Observed, SeenSecret};
use super::write::{Conflict, NewSecret, Write};
use crate::desired::{Context, Kind, Owner};
use crate::record;

pub(super) fn usable(owner: &Owner, secret: Option<&SeenSecret>) -> Option<String> {
    secret.filter(|secret| is_usable(owner, secret)).map(|secret| secret.record.uid.clone())
}

fn is_usable(owner: &Owner, secret: &SeenSecret) -> bool {
    standing(owner, &secret.record) == Standing::Ours && secret.is_whole
}

/// Which of our Secrets are wanted, as they are.
fn wanted<'a>(context: &Context<'_>, observed: &'a Observed) -> Vec<(NewSecret, Option<&'a SeenSecret>)> {
    let mut wanted = Vec::new();
    if context.spec.token_keys.secret_ref.is_none() {
        wanted.push((NewSecret::TokenKeys, observed.token_keys.as_ref()));
    }
    if context.spec.api.is_served() && context.spec.api.secret_ref.is_none() {
        wanted.push((NewSecret::ApiKeys, observed.api_keys.as_ref()));
    }
    if context.is_managed_redis() {
        wanted.push((NewSecret::Valkey, observed.valkey_secret.as_ref()));
    }
    wanted
}

pub(super) fn writes(context: &Context<'_>, observed: &Observed) -> Vec<Write> {
    let write = |(which, seen): (NewSecret, Option<&SeenSecret>)| {
        let Some(seen) = seen else { return Some(Write::Secret(which)) };
        let is_ours = standing(context.owner, &seen.record) == Standing::Ours;
        match (is_ours, seen.is_whole, &seen.record.owner, which) {
            (false, ..) | (true, true, record::Owner::Controller { .. }, _) => None,
            (true, true, record::Owner::Nobody, _) => Some(Write::AdoptSecret(which)),
            (true, false, _, NewSecret::TokenKeys | NewSecret::ApiKeys) => Some(Write::FillSecret(which)),
            // By way of a new Secret: its uid makes Valkey start again with the new password.
            (true, false, _, NewSecret::Valkey) => {
                let (name, uid) = (seen.record.name.clone(), seen.record.uid.clone());
                Some(Write::Delete { kind: Kind::Secret, name, uid })
            }
        }
    };
    wanted(context, observed).into_iter().filter_map(write).collect()
}

/// One that a deleted ChatDeployment of the same name left behind goes away by itself, and no watch says when.
pub(super) fn are_there(context: &Context<'_>, observed: &Observed) -> bool {
    let is_there = |seen: Option<&SeenSecret>| seen.is_some_and(|seen| is_usable(context.owner, seen));
    wanted(context, observed).into_iter().all(|(_, seen)| is_there(seen))
}

pub(super) fn conflicts(context: &Context<'_>, observed: &Observed) -> Vec<Conflict> {
    let wanted = wanted(context, observed).into_iter();
    wanted
        .filter_map(|(_, seen)| {
            let record = &seen?.record;
            let Standing::Foreign(holder) = standing(context.owner, record) else { return None };
            Some(Conflict { kind: Kind::Secret, name: record.name.clone(), holder })
        })
        .collect()
}
