//! Weaves mutants of cargo-mutants into the sources that they change, each behind a switch (`crate::broken::is(7)`), so that one
//! build serves all of them.
//!
//! Reads files with their mutants from stdin, and writes to stdout what each becomes: the source, where in it each mutant's text
//! stands, from the narrowest to the widest, and which mutants have found no place. JSON both ways.

mod find;
mod render;

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
struct Before {
    file: String,
    source: String,
    mutants: Vec<Mutant>,
}

/// As cargo-mutants describes it.
#[derive(Debug, Deserialize)]
struct Mutant {
    number: u32,
    genre: Genre,
    span: Span,
    replacement: String,
}

#[derive(Debug, Deserialize, Clone, Copy, PartialEq, Eq)]
enum Genre {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    StructField,
    MatchArm,
    MatchArmGuard,
}

#[derive(Debug, Deserialize)]
struct Span {
    start: Place,
    end: Place,
}

/// Counted from 1, in characters.
#[derive(Debug, Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

#[derive(Debug, Serialize)]
struct Woven {
    file: String,
    source: String,
    places: Vec<render::Stands>,
    left: Vec<u32>,
}

fn weave(before: Before) -> syn::Result<Woven> {
    let tree = syn::parse_file(&before.source)?;
    let found = find::all(&tree, &before.source, &before.mutants);
    let left = before.mutants.iter().map(|mutant| mutant.number).filter(|number| !found.has(*number)).collect();
    let (source, places) = render::render(&before.source, found);
    Ok(Woven { file: before.file, source, places, left })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    let files: Vec<Before> = serde_json::from_str(&input)?;
    let woven = files.into_iter().map(weave).collect::<Result<Vec<_>, _>>()?;
    io::stdout().write_all(serde_json::to_string(&woven)?.as_bytes())?;
    Ok(())
}
