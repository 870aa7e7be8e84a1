//! The words of documents and comments: every reference to a file, a heading or a section leads somewhere, and no phrase stands where
//! the field has a term. Reads files.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Folders that hold what was built or fetched.
const BUILT: [&str; 6] = [".git", ".cache", "target", "node_modules", "corpus", "artifacts"];
/// Files that comments name and that are not of this repository: made at run time, or of another project.
const ELSEWHERE: [&str; 2] = ["Cargo.rs", "README.md"];
/// Phrases that a reader has to translate, and what the field says (docs/glossary.md).
const PHRASES: [(&str, &str); 24] = [
    ("that is to end", "draining"),
    ("turns over", "is responsive"),
    ("cannot be had", "is unavailable, or: cannot be pulled, installed, bound"),
    ("it is tried again", "retrying"),
    ("went back to", "was rolled back to"),
    ("whoever is late", "a late peer"),
    ("is none of ours", "belongs to another deployment"),
    ("it cannot be listened on", "cannot bind to this address"),
    ("the operator works", "operator started"),
    ("not done; ", "failed; retrying"),
    ("comes to nothing", "fails"),
    ("looks like a setting", "unknown variable"),
    ("is told to end", "gets SIGTERM, or: drains"),
    ("later and later", "with backoff"),
    ("beyond hope", "has failed for good"),
    ("written anew", "rewritten, regenerated"),
    ("made anew", "recreated, replaced"),
    ("looks after", "manages"),
    ("serves nobody", "serves no clients"),
    ("lives under the key prefix", "uses the key prefix"),
    ("nobody's business", "does not concern it"),
    ("keeps them so", "maintains"),
    ("what to look at", "check"),
    ("leads elsewhere", "resolves to another address"),
];
/// Words that no document or manifest uses: say "a client that", "again", "learns of".
const WORDS_OF_DOCUMENTS: [&str; 3] = ["whoever", "anew", "hears of"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Paths of all files, from the root on.
fn files() -> Vec<PathBuf> {
    let (root, mut found) = (root(), Vec::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if BUILT.iter().any(|built| entry.file_name() == *built) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    found
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension))
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(root().join(path)).unwrap()).into_owned()
}

/// `a/../b` is `b`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(document: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let mut found = BTreeSet::new();
    for line in document.lines() {
        in_code ^= line.starts_with("```");
        let Some(heading) = line.strip_prefix('#').filter(|_| !in_code) else { continue };
        let heading = heading.trim_start_matches('#').trim();
        let kept = heading.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
        found.insert(
            kept.map(|character| if character == ' ' { '-' } else { character.to_ascii_lowercase() }).collect(),
        );
    }
    found
}

/// Where the links of a document lead: `[text](there)`.
fn links(document: &str) -> impl Iterator<Item = &str> {
    document.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

#[test]
fn links_of_documents_lead_to_files_and_headings() {
    let mut dangling = Vec::new();
    let documents: Vec<PathBuf> = files().into_iter().filter(|path| has_extension(path, &["md"])).collect();
    assert!(documents.len() > 10, "{documents:?}");
    for document in &documents {
        let own = text(document);
        for link in links(&own).filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let target = if path.is_empty() { document.clone() } else { normal(&document.with_file_name(path)) };
            let is_there = root().join(&target).exists();
            if !is_there || anchor.is_some_and(|anchor| !anchors(&text(&target)).contains(anchor)) {
                dangling.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(dangling.is_empty(), "{dangling:#?}");
}

/// Names of source files and documents in a line, such as `hub/mod.rs`.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |character: char| character.is_alphanumeric() || "_-./".contains(character);
    let words = line.split(move |character| !is_part(character)).map(|word| word.trim_end_matches('.'));
    words.filter(|word| {
        let path = Path::new(word);
        has_extension(path, &["rs", "md"])
            && path.file_stem().is_some()
            && !word.starts_with('.')
            && !word.contains("//")
    })
}

/// What of a line is for people: all of a document's, the comment of a source file's.
fn prose<'a>(path: &Path, line: &'a str) -> &'a str {
    if has_extension(path, &["md"]) {
        return line;
    }
    let start = if has_extension(path, &["rs", "js", "ts", "c", "go"]) { "//" } else { "# " };
    line.find(start).map_or("", |at| &line[at..])
}

/// Whether `docs/x.md, Words` names a heading that the document lacks.
fn names_no_heading(name: &str, prose: &str) -> bool {
    let Some((_, after)) = prose.split_once(&format!("{name}, ")).filter(|_| name.starts_with("docs/")) else {
        return false;
    };
    let document = text(Path::new(name));
    let mut headings =
        document.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    after.starts_with(char::is_uppercase) && !headings.any(|heading| after.starts_with(heading))
}

#[test]
fn files_that_prose_names_are_there_and_sections_have_numbers() {
    let files = files();
    let is_there = |name: &str| files.iter().any(|file| file.ends_with(name));
    let mut dangling = Vec::new();
    // This file's own examples lead nowhere.
    let read = |path: &&PathBuf| {
        has_extension(path, &["rs", "md", "toml", "yaml", "js", "ts", "go"]) && !path.ends_with("prose.rs")
    };
    for path in files.iter().filter(read) {
        for (number, line) in text(path).lines().enumerate() {
            let prose = prose(path, line);
            for name in names(prose).filter(|name| !ELSEWHERE.contains(name)) {
                let is_section = prose.contains(&format!("{name} section"));
                let is_there = is_there(&normal(Path::new(name)).to_string_lossy());
                if !is_there || is_section || names_no_heading(name, prose) {
                    dangling.push(format!("{}:{}: {name}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(dangling.is_empty(), "{dangling:#?}");
}

/// Whether the words of `phrase` follow each other in `words`.
fn has_words(words: &[&str], phrase: &str) -> bool {
    let phrase: Vec<&str> = phrase.split(' ').collect();
    words.windows(phrase.len()).any(|window| window == phrase)
}

#[test]
fn the_fields_words_stand_where_it_has_some() {
    let mut found = Vec::new();
    let read =
        |path: &&PathBuf| has_extension(path, &["rs", "md", "toml", "yaml", "js"]) && !path.ends_with("prose.rs");
    for path in files().iter().filter(read) {
        let lower = text(path).to_lowercase();
        let here = PHRASES.iter().filter(|(phrase, _)| lower.contains(phrase));
        found.extend(here.map(|(phrase, term)| format!("{}: \"{phrase}\": {term}", path.display())));
        let words: Vec<&str> = lower.split(|letter: char| !letter.is_alphanumeric()).collect();
        let is_document = has_extension(path, &["md", "yaml"]);
        let here = WORDS_OF_DOCUMENTS.iter().filter(|phrase| is_document && has_words(&words, phrase));
        found.extend(here.map(|phrase| format!("{}: \"{phrase}\"", path.display())));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_dangles_is_noticed() {
    assert!(anchors("# A b\n## C-d: `e`\n```\n# no\n```\n").iter().eq(["a-b", "c-d-e"]));
    assert!(links("[a](b.md#c) and [d](https://e)").eq(["b.md#c", "https://e"]));
    assert!(has_words(&["it", "hears", "of"], "hears of") && !has_words(&["renewed"], "anew"));
    assert!(names("see `hub/mod.rs`, docs/x.md. But not .rs, https://a/b.md").eq(["hub/mod.rs", "docs/x.md"]));
    assert_eq!(prose(Path::new("a.rs"), "let a = \"b.rs\"; // c.rs"), "// c.rs");
    assert_eq!(normal(Path::new("docs/../a/./b.md")), Path::new("a/b.md"));
}
