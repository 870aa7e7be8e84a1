//! The bill of materials of a binary: every linked crate, in CycloneDX 1.5. Pure, so that the same lock file gives the same bytes:
//! no time, no random serial number, no path.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// A package of the system whose code is linked in.
#[derive(Debug, Clone)]
pub struct SystemPackage {
    pub name: String,
    pub version: String,
}

/// Where an image has it.
pub fn path(binary: &str) -> String {
    format!("usr/share/sbom/{binary}.cdx.json")
}

/// The crates whose data lie beside the binary: the certificate authorities.
const DATA: &[&str] = &["webpki-root-certs"];

/// From `cargo metadata` and Cargo.lock.
pub fn bill(metadata: &Value, lock: &str, package: &str, system: &[SystemPackage]) -> Result<Vec<u8>> {
    let packages = by_id(list(&metadata["packages"])?)?;
    let nodes = by_id(list(&metadata["resolve"]["nodes"])?)?;
    let (root, _) = packages
        .iter()
        .find(|(_, about)| about["name"] == package && about["source"].is_null())
        .with_context(|| format!("cargo metadata lists no package {package}"))?;
    let edges = linked(&nodes, root)?;
    let checksums = checksums(lock);
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for (id, needs) in &edges {
        let about = packages.get(id).with_context(|| format!("cargo metadata says nothing about {id}"))?;
        if id != root {
            components.push(component(about, &checksums));
        }
        let mut needs: Vec<String> = needs.iter().filter_map(|id| packages.get(id)).map(|need| url(need)).collect();
        needs.sort();
        dependencies.push(json!({"ref": url(about), "dependsOn": needs}));
    }
    let data = packages.values().filter(|about| DATA.contains(&text(&about["name"])));
    components.extend(data.map(|about| component(about, &checksums)));
    for SystemPackage { name, version } in system {
        let url = format!("pkg:deb/debian/{name}@{version}");
        components.push(json!({"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}));
    }
    components.sort_by_key(|component| component["bom-ref"].to_string());
    dependencies.sort_by_key(|dependency| dependency["ref"].to_string());
    let mut itself = component(packages[root], &checksums);
    itself["type"] = "application".into();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": itself},
        "components": components,
        "dependencies": dependencies,
    });
    let mut bytes = serde_json::to_vec_pretty(&bill)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().context("cannot parse the output of cargo metadata")
}

fn by_id(values: &[Value]) -> Result<BTreeMap<&str, &Value>> {
    values.iter().map(|value| Ok((value["id"].as_str().context("a package without an id")?, value))).collect()
}

/// What is linked in, and what of it each needs: dependencies of builds and tests are not.
fn linked<'a>(nodes: &BTreeMap<&'a str, &'a Value>, root: &'a str) -> Result<BTreeMap<&'a str, BTreeSet<&'a str>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if found.contains_key(id) {
            continue;
        }
        let node = nodes.get(id).with_context(|| format!("cargo metadata does not resolve {id}"))?;
        let needs: BTreeSet<&str> = list(&node["deps"])?
            .iter()
            .filter(|dep| {
                dep["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
            })
            .filter_map(|dep| dep["pkg"].as_str())
            .collect();
        open.extend(&needs);
        found.insert(id, needs);
    }
    Ok(found)
}

fn component(about: &Value, checksums: &BTreeMap<(&str, &str), &str>) -> Value {
    let url = url(about);
    let (name, version) = (text(&about["name"]), text(&about["version"]));
    let mut component =
        json!({"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url, "scope": "required"});
    if let Some(license) = about["license"].as_str() {
        // Older crates write MIT/Apache-2.0, which is no expression.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    if let Some(checksum) = checksums.get(&(name, version)) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

fn url(about: &Value) -> String {
    format!("pkg:cargo/{}@{}", text(&about["name"]), text(&about["version"]).replace('+', "%2B"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Cargo.lock's checksums by name and version.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let mut found = BTreeMap::new();
    for entry in lock.split("[[package]]") {
        let field = |name: &str| {
            entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let (Some(name), Some(version), Some(checksum)) = (field("name"), field("version"), field("checksum")) {
            found.insert((name, version), checksum);
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"mio\"\nversion = \"1.0.0\"\nchecksum = \"abc\"\n\n[[package]]\nname = \"chatd\"\nversion = \"0.1.0\"\n";

    #[test]
    fn the_authorities_stand_beside_the_crates_too() {
        let mut metadata = metadata([0, 1, 2, 3]);
        let authorities = json!({"id": "x#webpki-root-certs", "name": "webpki-root-certs", "version": "1.0.11", "source": "registry"});
        metadata["packages"].as_array_mut().unwrap().push(authorities);
        let bytes = bill(&metadata, LOCK, "chatd", &[]).unwrap();
        assert!(String::from_utf8(bytes).unwrap().contains("pkg:cargo/webpki-root-certs@1.0.11"));
    }

    fn metadata(order: [usize; 4]) -> Value {
        let package = |name: &str, source: Value| {
            json!({"id": format!("path+file:///somewhere#{name}"), "name": name, "version": if name == "chatd" { "0.1.0" } else { "1.0.0" },
                "source": source, "license": "MIT/Apache-2.0"})
        };
        let needs = |name: &str, kind: Value| json!({"pkg": format!("path+file:///somewhere#{name}"), "dep_kinds": [{"kind": kind}]});
        let all = [
            package("chatd", Value::Null),
            package("mio", "registry".into()),
            package("libc", "registry".into()),
            package("tempfile", "registry".into()),
        ];
        let nodes = [
            json!({"id": "path+file:///somewhere#chatd", "deps": [needs("tempfile", "dev".into()), needs("mio", Value::Null)]}),
            json!({"id": "path+file:///somewhere#mio", "deps": [needs("libc", Value::Null)]}),
            json!({"id": "path+file:///somewhere#libc", "deps": []}),
            json!({"id": "path+file:///somewhere#tempfile", "deps": []}),
        ];
        json!({"packages": order.map(|at| all[at].clone()), "resolve": {"nodes": order.map(|at| nodes[at].clone())}})
    }

    #[test]
    fn it_names_what_is_linked_in_with_its_hash_and_licence_and_no_path() {
        let bytes = bill(&metadata([0, 1, 2, 3]), LOCK, "chatd", &[]).unwrap();
        let bill: Value = serde_json::from_slice(&bytes).unwrap();
        let names: Vec<&str> = bill["components"].as_array().unwrap().iter().map(|part| text(&part["name"])).collect();
        assert_eq!(names, ["libc", "mio"]);
        assert_eq!(bill["components"][1]["hashes"][0]["content"], "abc");
        assert_eq!(bill["components"][1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["metadata"]["component"]["name"], "chatd");
        assert_eq!(
            bill["dependencies"][0],
            json!({"ref": "pkg:cargo/chatd@0.1.0", "dependsOn": ["pkg:cargo/mio@1.0.0"]})
        );
        assert!(!String::from_utf8(bytes).unwrap().contains("somewhere"));
    }

    #[test]
    fn the_order_in_which_cargo_tells_does_not_count() {
        let one = bill(&metadata([0, 1, 2, 3]), LOCK, "chatd", &[]).unwrap();
        assert_eq!(one, bill(&metadata([3, 2, 0, 1]), LOCK, "chatd", &[]).unwrap());
    }

    #[test]
    fn a_package_of_the_system_stands_beside_the_crates() {
        let libc = SystemPackage { name: "libc6-dev".to_owned(), version: "2.36-9".to_owned() };
        let bytes = bill(&metadata([0, 1, 2, 3]), LOCK, "chatd", &[libc]).unwrap();
        assert!(String::from_utf8(bytes).unwrap().contains("pkg:deb/debian/libc6-dev@2.36-9"));
    }
}
