//! Chooses the cluster for `up` from the facts about this machine. Pure.

use crate::cluster::Kind;

/// What CLUSTER asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Wish {
    /// The first that works of: kind, k3d, minikube, builtin.
    Auto,
    /// The one that KUBECONFIG points at.
    Current,
    Builtin,
    Kind,
    K3d,
    Minikube,
}

/// What there is of one tool that makes clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    Absent,
    Works,
    /// It is there, but cannot be used, and why.
    Broken(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How an earlier `up` made the cluster of this name.
    pub made_before: Option<Kind>,
    /// The context that KUBECONFIG points at, or why there is none that answers.
    pub current: Result<String, String>,
    /// Docker or podman with an engine that answers, or what is missing.
    pub engine: Result<String, String>,
    pub kind: Tool,
    pub k3d: Tool,
    pub minikube: Tool,
    pub kubectl: bool,
    /// All that builtin lacks, each as what to do about it.
    pub builtin_lacks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub kind: Kind,
    pub why: String,
    /// Whether another kind may be tried when this one cannot be made.
    pub asked_for: bool,
}

const MAKERS: [Kind; 3] = [Kind::Kind, Kind::K3d, Kind::Minikube];

impl Facts {
    fn tool(&self, kind: Kind) -> &Tool {
        match kind {
            Kind::K3d => &self.k3d,
            Kind::Minikube => &self.minikube,
            Kind::Kind | Kind::Current | Kind::Builtin => &self.kind,
        }
    }

    /// Everything that stands in the way of one kind.
    fn lacks(&self, kind: Kind) -> Vec<String> {
        let mut lacks = Vec::new();
        let kubectl = "kubectl, in PATH: https://kubernetes.io/docs/tasks/tools/";
        match kind {
            Kind::Builtin => return self.builtin_lacks.clone(),
            Kind::Current => {
                if let Err(reason) = &self.current {
                    lacks.push(format!("a cluster that KUBECONFIG points at and that answers: {reason}"));
                }
            }
            Kind::Kind | Kind::K3d | Kind::Minikube => {
                match self.tool(kind) {
                    Tool::Works => {}
                    Tool::Absent => lacks.push(format!("{kind}, in PATH")),
                    Tool::Broken(reason) => lacks.push(format!("a {kind} that works: {reason}")),
                }
                if let Err(reason) = &self.engine {
                    lacks.push(format!("a container engine that answers: {reason}"));
                }
            }
        }
        if !self.kubectl {
            lacks.push(kubectl.to_owned());
        }
        lacks
    }
}

/// Takes a kind, or says everything that is missing.
pub fn choose(wish: Wish, facts: &Facts) -> Result<Choice, Vec<String>> {
    let (kind, why, asked_for) = match (asked(wish), facts.made_before) {
        (Some(kind), Some(before)) if kind != before => {
            return Err(vec![format!(
                "a decision: CLUSTER={kind} is asked for, but the cluster of this name is {before}. \
                 Run `make down` first, or choose another CLUSTER_NAME"
            )]);
        }
        (_, Some(before)) => (before, "an earlier `make up` took it".to_owned(), true),
        (Some(kind), None) => (kind, format!("CLUSTER={kind} asks for it"), true),
        (None, None) => match MAKERS.into_iter().find(|&kind| facts.lacks(kind).is_empty()) {
            Some(kind) => {
                let engine = facts.engine.as_deref().unwrap_or("a container engine");
                (kind, format!("{kind}, {engine} and kubectl are here and work"), false)
            }
            None => (Kind::Builtin, why_no_maker(facts), false),
        },
    };
    let lacks = facts.lacks(kind);
    if lacks.is_empty() { Ok(Choice { kind, why, asked_for }) } else { Err(lacks) }
}

fn asked(wish: Wish) -> Option<Kind> {
    match wish {
        Wish::Auto => None,
        Wish::Current => Some(Kind::Current),
        Wish::Builtin => Some(Kind::Builtin),
        Wish::Kind => Some(Kind::Kind),
        Wish::K3d => Some(Kind::K3d),
        Wish::Minikube => Some(Kind::Minikube),
    }
}

fn why_no_maker(facts: &Facts) -> String {
    let present: Vec<Kind> = MAKERS.into_iter().filter(|&kind| *facts.tool(kind) != Tool::Absent).collect();
    match present.first() {
        None => "there is no kind, k3d or minikube here".to_owned(),
        Some(&kind) => format!("{kind} cannot be used here: it lacks {}", facts.lacks(kind).join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Facts {
        Facts {
            made_before: None,
            current: Err("KUBECONFIG is not set".into()),
            engine: Err("neither docker nor podman".into()),
            kind: Tool::Absent,
            k3d: Tool::Absent,
            minikube: Tool::Absent,
            kubectl: false,
            builtin_lacks: vec![],
        }
    }

    fn with_engine() -> Facts {
        Facts { engine: Ok("docker".into()), kubectl: true, ..bare() }
    }

    /// The facts and the request, and the choice.
    #[test]
    fn the_table() {
        let broken = || Tool::Broken("version: exit 1".into());
        let table: Vec<(Wish, Facts, Result<Kind, &str>)> = vec![
            (Wish::Auto, bare(), Ok(Kind::Builtin)),
            (Wish::Auto, Facts { builtin_lacks: vec!["runc".into()], ..bare() }, Err("runc")),
            (Wish::Auto, Facts { kind: Tool::Works, ..with_engine() }, Ok(Kind::Kind)),
            (Wish::Auto, Facts { kind: Tool::Works, k3d: Tool::Works, ..with_engine() }, Ok(Kind::Kind)),
            (Wish::Auto, Facts { k3d: Tool::Works, minikube: Tool::Works, ..with_engine() }, Ok(Kind::K3d)),
            (Wish::Auto, Facts { minikube: Tool::Works, ..with_engine() }, Ok(Kind::Minikube)),
            (Wish::Auto, Facts { kind: broken(), k3d: Tool::Works, ..with_engine() }, Ok(Kind::K3d)),
            (Wish::Auto, Facts { kind: Tool::Works, ..bare() }, Ok(Kind::Builtin)),
            (Wish::Auto, Facts { kind: Tool::Works, kubectl: false, ..with_engine() }, Ok(Kind::Builtin)),
            // Somebody's cluster is never taken unless asked for.
            (Wish::Auto, Facts { current: Ok("prod".into()), ..with_engine() }, Ok(Kind::Builtin)),
            (Wish::Current, Facts { current: Ok("prod".into()), ..with_engine() }, Ok(Kind::Current)),
            (Wish::Current, with_engine(), Err("KUBECONFIG is not set")),
            (Wish::Current, Facts { current: Ok("prod".into()), ..bare() }, Err("kubectl")),
            (Wish::Builtin, Facts { kind: Tool::Works, ..with_engine() }, Ok(Kind::Builtin)),
            (Wish::Builtin, Facts { builtin_lacks: vec!["runc".into()], ..bare() }, Err("runc")),
            (Wish::Kind, bare(), Err("neither docker nor podman")),
            (Wish::Kind, Facts { kind: broken(), ..with_engine() }, Err("version: exit 1")),
            (Wish::K3d, Facts { k3d: Tool::Works, ..with_engine() }, Ok(Kind::K3d)),
            (Wish::Minikube, Facts { minikube: Tool::Works, ..with_engine() }, Ok(Kind::Minikube)),
            // What was made stays what it is.
            (
                Wish::Auto,
                Facts { made_before: Some(Kind::Builtin), kind: Tool::Works, ..with_engine() },
                Ok(Kind::Builtin),
            ),
            (Wish::Auto, Facts { made_before: Some(Kind::K3d), k3d: Tool::Works, ..with_engine() }, Ok(Kind::K3d)),
            (
                Wish::Kind,
                Facts { made_before: Some(Kind::Builtin), kind: Tool::Works, ..with_engine() },
                Err("make down"),
            ),
            (Wish::Builtin, Facts { made_before: Some(Kind::Builtin), ..bare() }, Ok(Kind::Builtin)),
        ];
        for (wish, facts, expected) in table {
            let got = choose(wish, &facts);
            match (&got, expected) {
                (Ok(choice), Ok(kind)) => assert_eq!(choice.kind, kind, "{wish:?} {facts:?}"),
                (Err(lacks), Err(words)) => assert!(lacks.join("\n").contains(words), "{lacks:?} lacks {words}"),
                _ => panic!("{wish:?} {facts:?}: got {got:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let lacks = choose(Wish::Kind, &bare()).expect_err("nothing is there");
        assert_eq!(lacks.len(), 3, "{lacks:?}");
    }

    #[test]
    fn an_automatic_choice_says_why_not_the_others() {
        let choice = choose(Wish::Auto, &Facts { kind: Tool::Works, ..bare() }).expect("builtin");
        assert!(choice.why.contains("neither docker nor podman") && !choice.asked_for, "{choice:?}");
        let choice = choose(Wish::Auto, &bare()).expect("builtin");
        assert!(choice.why.contains("no kind, k3d or minikube"), "{choice:?}");
    }
}
