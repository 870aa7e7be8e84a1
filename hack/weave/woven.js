// Many mutants in one build, each behind a switch. `hack/mutants`
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const { build, environment, run, top } = require("./judge.js");

// Built once and run for each mutant.
const WOVEN = { ...environment, CARGO_PROFILE_DEV_OPT_LEVEL: "1" };
const SWITCH = `//! Which mutant is on.

use std::sync::LazyLock;

static ON: LazyLock<u32> = LazyLock::new(|| std::env::var("BROKEN").ok().and_then(|number| number.parse().ok()).unwrap_or(0));

pub fn is(number: u32) -> bool {
    *ON == number
}
`;

async function weave(unbroken, files) {
  const env = { ...process.env, CARGO_TARGET_DIR: path.join(top, ".cache/weave") };
  const manifest = path.join(unbroken, "hack/weave/Cargo.toml");
  const input = JSON.stringify(files);
  const { status, stdout, stderr } = await run("cargo", ["run", "--quiet", "--locked", "--manifest-path", manifest], { env, input });
  if (status !== 0) {
    throw new Error(stderr);
  }
  return JSON.parse(stdout);
}

/** The mutants that a complaint of the compiler is about: those whose text is narrowest around it. */
function culprits(error, woven) {
  const spans = error.spans.filter((span) => span.is_primary).concat(error.spans);
  for (const { file_name, byte_start } of spans) {
    const places = woven.find(({ file }) => file === file_name)?.places ?? [];
    const around = places.filter(({ start, end }) => start <= byte_start && byte_start < end);
    if (around.length > 0) {
      const narrowest = Math.min(...around.map(({ start, end }) => end - start));
      return around.filter(({ start, end }) => end - start === narrowest).map(({ number }) => number);
    }
  }
  return [];
}

/**
 * Weaves mutants of one package into a copy of the tree and builds its tests. Mutants that cannot be compiled there, or cannot be
 * woven in at all, are left for a build of their own. `unbroken`: a tree that has what they were made of.
 */
async function build_all(copy, unbroken, subject, mutants) {
  const lib = path.join(copy, subject.package, "src/lib.rs");
  fs.writeFileSync(lib, `${fs.readFileSync(path.join(unbroken, subject.package, "src/lib.rs"), "utf8")}\npub mod broken;\n`);
  fs.writeFileSync(path.join(path.dirname(lib), "broken.rs"), SWITCH);
  const left = new Set();
  for (;;) {
    // A file whose mutants are all left is woven with none.
    const input = [...new Set(mutants.map(({ file }) => file))].map((file) => ({
      file,
      source: fs.readFileSync(path.join(unbroken, file), "utf8"),
      mutants: mutants.filter((mutant) => mutant.file === file && !left.has(mutant.number)),
    }));
    const woven = await weave(unbroken, input);
    for (const { file, source, left: placeless } of woven) {
      placeless.forEach((number) => left.add(number));
      fs.writeFileSync(path.join(copy, file), source);
    }
    const { programs, errors, complaint } = await build(copy, subject, WOVEN);
    if (programs) {
      return { programs, left };
    }
    const found = new Set(errors.flatMap((error) => culprits(error, woven)));
    if (found.size === 0) {
      throw new Error(complaint);
    }
    console.log(`${subject.package}: ${found.size} of ${mutants.length - left.size} mutants do not compile among the others`);
    found.forEach((number) => left.add(number));
  }
}

module.exports = { build_all };
