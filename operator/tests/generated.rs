//! Generated files are committed, and a stale one fails here. `UPDATE_GENERATED=1 cargo test -p operator --test generated` writes them.
#![allow(clippy::unwrap_used)]

use std::path::Path;

fn check(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(stored == text, "{path} is stale: run  UPDATE_GENERATED=1 cargo test -p operator --test generated");
}

#[test]
fn the_crd_is_what_the_types_say() {
    check("crds/chatdeployments.yaml", &operator::api::crd_yaml().unwrap());
}

#[test]
fn the_charts_crd_is_the_same() {
    let crd = operator::api::crd_yaml().unwrap();
    let (head, rest) = crd.split_once("metadata:\n").unwrap();
    // Braces of the rules and docs are no template.
    assert!(!crd.contains("{{"));
    let keep = "{{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n{{- end }}\n";
    let text = format!("{{{{- if .Values.crds.enabled }}}}\n{head}metadata:\n{keep}{rest}{{{{- end }}}}\n");
    check("charts/chatd-operator/templates/crd.yaml", &text);
}

#[test]
fn the_page_of_the_fields_is_what_the_types_say() {
    check("docs/chatdeployment.md", &operator::docs::chatdeployment());
}
