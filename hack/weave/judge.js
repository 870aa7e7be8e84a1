// Which tests judge which file of `hack/mutants`, and how they are built and run.
"use strict";

const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const top = path.dirname(path.dirname(__dirname));
const environment = { ...process.env, CARGO_TARGET_DIR: path.join(top, "target"), CARGO_PROFILE_DEV_DEBUG: "0" };
const SEEDS = process.env.SEEDS ?? "300";
const MEMORY_KIB = 6_000_000;
// Several times what the tests need: a mutant may loop for ever, or wait for ever.
const CPU_SECONDS = { sim: 120, other: 20 };
const WALL_SECONDS = 600;

// What is broken, and the tests that have to notice it, in that order: those that are quick and notice much first.
const subjects = [
  {
    package: "chatd",
    files: /^chatd\/src\/(room\/|hub\/|lease\/|record\.rs|directory\/redis\/(failure|complaint|adviser)\.rs)/,
    build: ["-p", "chatd", "--test", "hub", "--test", "lease", "--lib", "--test", "sim"],
    runs: [
      { program: "hub", filters: [] },
      { program: "lease", filters: [] },
      { program: "chatd", filters: ["room::", "hub::", "lease::", "record::", "directory::", "frame::"] },
      { program: "sim", filters: ["every_invariant"], only: /^chatd\/src\/(room|hub|lease|record)/ },
    ],
  },
  {
    package: "operator",
    files: /^operator\/src\/(plan|rollout|status)\//,
    build: ["-p", "operator", "--lib"],
    runs: [{ program: "operator", filters: [] }],
  },
];

const subject_of = (file) => subjects.find((subject) => subject.files.test(file));

/** Runs a program to its end: its status, and what it says. */
function run(program, args, { input = "", ...options } = {}) {
  const child = spawn(program, args, { env: environment, ...options });
  const said = { stdout: "", stderr: "" };
  for (const [name, stream] of Object.entries({ stdout: child.stdout, stderr: child.stderr })) {
    stream.setEncoding("utf8").on("data", (text) => (said[name] += text));
  }
  // A program that ends before it has read everything says why.
  child.stdin.on("error", () => {}).end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, ...said }));
  });
}

/** Brings a copy of the tree up to date. A file that differs gets the time of now, so that cargo notices. */
function refresh(copy) {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], { cwd: top, encoding: "utf8" });
  const files = new Set(listed.split("\0").filter((file) => file && fs.existsSync(path.join(top, file))));
  fs.mkdirSync(copy, { recursive: true });
  for (const entry of fs.readdirSync(copy, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory())) {
    const file = path.join(entry.parentPath, entry.name);
    if (!files.has(path.relative(copy, file))) {
      fs.rmSync(file);
    }
  }
  for (const file of files) {
    const [from, to] = [path.join(top, file), path.join(copy, file)];
    if (fs.lstatSync(from).isSymbolicLink()) {
      link(fs.readlinkSync(from), to);
      continue;
    }
    const source = fs.readFileSync(from);
    if (!fs.existsSync(to) || !source.equals(fs.readFileSync(to))) {
      fs.mkdirSync(path.dirname(to), { recursive: true });
      fs.writeFileSync(to, source, { mode: fs.statSync(from).mode });
    }
  }
}

/** A symbolic link, also in place of another one. */
function link(target, to) {
  fs.rmSync(to, { force: true });
  fs.mkdirSync(path.dirname(to), { recursive: true });
  fs.symlinkSync(target, to);
}

/** Builds the tests. The programs by their name; what the compiler says if it cannot be compiled. */
async function build(copy, subject, env = environment) {
  const args = ["test", "--locked", "--no-run", "--message-format=json", ...subject.build];
  const { status, stdout, stderr } = await run("cargo", args, { cwd: copy, env });
  const messages = stdout.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  if (status !== 0) {
    const errors = messages.map(({ message }) => message).filter((message) => message?.level === "error");
    return { errors, complaint: errors.map((error) => error.rendered).join("") || stderr };
  }
  const made = messages.filter((message) => message.executable && message.profile?.test);
  return { programs: Object.fromEntries(made.map((message) => [message.target.name, message.executable])) };
}

/** Runs one program up to the first test that fails. That test's name; nothing if all pass. */
function first_failure(executable, filters, options) {
  const { cwd, env, seconds } = options;
  const limited = `ulimit -v ${MEMORY_KIB} -t ${seconds}; exec "$0" "$@"`;
  const child = spawn("bash", ["-c", limited, executable, ...filters], { cwd, env, stdio: ["ignore", "pipe", "ignore"] });
  return new Promise((resolve) => {
    let said = "";
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, WALL_SECONDS * 1000);
    const failed = () => said.match(/^test (\S+)(?: - [^.]*)? \.\.\. FAILED$/m)?.[1];
    child.stdout.on("data", (bytes) => {
      said += bytes;
      if (failed()) {
        child.kill("SIGKILL");
      }
    });
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      const ended = late || ["SIGXCPU", "SIGKILL"].includes(signal) ? "takes for ever" : "ends the process";
      resolve(status === 0 ? undefined : (failed() ?? ended));
    });
  });
}

/** Runs the tests of a file. `extra`: environment. */
async function judge(copy, file, programs, extra = {}) {
  const subject = subject_of(file);
  for (const { program, filters } of subject.runs.filter(({ only }) => !only || only.test(file))) {
    const failure = await first_failure(programs[program], filters, {
      cwd: path.join(copy, subject.package),
      env: { ...environment, CHATD_SIM_SEEDS: SEEDS, ...extra },
      seconds: CPU_SECONDS[program] ?? CPU_SECONDS.other,
    });
    if (failure) {
      return { verdict: "caught", by: `${program} ${failure}` };
    }
  }
  return { verdict: "missed" };
}

module.exports = { SEEDS, build, environment, judge, refresh, run, subject_of, subjects, top };
