//! What the chart makes, and every example, as a real API server judges it: dry runs that store nothing. Does I/O.

use crate::world::{RELEASE, apply, kubectl, make_namespace, module, repository, template};

/// The definitions of others whose kinds we use, as they publish them.
fn install_definitions_of_others() {
    let monitoring = module("github.com/prometheus-operator/prometheus-operator");
    let gateway = module("sigs.k8s.io/gateway-api");
    let certificates = module("github.com/cert-manager/cert-manager");
    for file in [
        certificates.join("deploy/crds/cert-manager.io_certificates.yaml"),
        monitoring.join("example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"),
        monitoring.join("example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
        gateway.join("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
        gateway.join("config/crd/standard/gateway.networking.k8s.io_tcproutes.yaml"),
    ] {
        apply(&[], &std::fs::read_to_string(file).unwrap());
    }
    let names = [
        "certificates.cert-manager.io",
        "podmonitors.monitoring.coreos.com",
        "prometheusrules.monitoring.coreos.com",
        "httproutes.gateway.networking.k8s.io",
    ];
    for name in names.into_iter().chain(["tcproutes.gateway.networking.k8s.io"]) {
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &format!("customresourcedefinition/{name}")]);
    }
}

#[test]
#[ignore = "needs helm and a cluster"]
fn whatever_the_chart_makes_is_taken_without_a_warning() {
    install_definitions_of_others();
    for namespace in [RELEASE, "games", "lobby"] {
        make_namespace(namespace);
    }
    let everything = r#"{"replicas":3,"imagePullSecrets":[{"name":"login"}],"serviceAccount":{"annotations":{"a":"b"}},
        "podLabels":{"a":"b"},"podAnnotations":{"a":"b"},"nodeSelector":{"a":"b"},"priorityClassName":"high",
        "tolerations":[{"key":"a","operator":"Exists"}],"monitoring":{"type":"Enabled","labels":{"a":"b"},"dashboards":true},
        "affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":
        [{"matchExpressions":[{"key":"a","operator":"Exists"}]}]}}}}"#;
    let everything = everything.replace('\n', "");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("everything.json");
    std::fs::write(&file, everything).unwrap();
    for flags in [
        &[][..],
        &["--set", "watchNamespaces={games,lobby}"],
        &["--set", "monitoring.type=Enabled"],
        &[
            "--set",
            "podDisruptionBudget.enabled=false,networkPolicy.enabled=false,rbac.aggregate=false,crds.enabled=false",
        ],
        &["--values", file.to_str().unwrap()],
    ] {
        let output = template(flags);
        assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
        let complaints = apply(&["--dry-run=server"], &String::from_utf8(output.stdout).unwrap());
        assert_eq!(complaints, "", "{flags:?}");
    }
}

#[test]
#[ignore = "needs a cluster"]
fn every_example_is_taken_without_a_warning() {
    install_definitions_of_others();
    apply(&[], &std::fs::read_to_string(repository().join("crds/chatdeployments.yaml")).unwrap());
    make_namespace("examples");
    let mut count = 0;
    for file in std::fs::read_dir(repository().join("examples")).unwrap() {
        let file = file.unwrap().path();
        if file.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(apply(&["--namespace=examples", "--dry-run=server"], &text), "", "{}", file.display());
        count += 1;
    }
    assert!(count >= 9, "{count} examples");
}
