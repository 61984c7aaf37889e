//! Checks that container files grant the programs no more than the units do, and name this version.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

fn documents(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(path)).unwrap()
}

/// `MemoryMax=` of a program's unit, as Kubernetes and Compose write it; systemd's G is a GiB.
fn memory_max(program: &str) -> String {
    let unit = text(&format!("systemd/network-monitor-{program}.service"));
    let line = unit.lines().find_map(|line| line.strip_prefix("MemoryMax="));
    line.unwrap().trim_end_matches('G').to_owned()
}

/// The pod of a program's workload.
fn pod(program: &str) -> Value {
    let documents = documents(&format!("kubernetes/{program}.yaml"));
    let pod = documents.into_iter().find_map(|it| it.pointer("/spec/template/spec").cloned());
    pod.unwrap()
}

#[test]
fn pods_have_the_capability_of_the_unit_and_nothing_else() {
    for (program, containers, added) in
        [("agent", 2, json!(["NET_RAW"])), ("collector", 1, Value::Null)]
    {
        let pod = pod(program);
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let all = ["initContainers", "containers"].map(|key| pod[key].as_array().cloned());
        let all: Vec<Value> = all.into_iter().flatten().flatten().collect();
        assert_eq!(all.len(), containers);
        for container in all {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
            let runs = container["args"] == json!(["run"]);
            let added = if runs { &added } else { &Value::Null };
            assert_eq!(&context["capabilities"]["add"], added, "{}", container["name"]);
            let limit = &container["resources"]["limits"];
            assert_eq!(limit["memory"], format!("{}Gi", memory_max(program)));
            assert_eq!(limit["cpu"], Value::Null, "throttled readers lose packets");
            let mounts = container["volumeMounts"].as_array().unwrap();
            assert!(mounts.iter().any(|it| it["mountPath"] == "/tmp"), "SQLite's temporary files");
        }
    }
    assert_eq!(pod("collector")["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod("agent")["hostNetwork"], true);
}

#[test]
fn pods_run_as_the_user_of_the_image() {
    let images = text("../scripts/image");
    for program in ["agent", "collector"] {
        let context = &pod(program)["securityContext"];
        let user = format!("\"{program}\": ({}, {})", context["runAsUser"], context["runAsGroup"]);
        assert!(images.contains(&user), "scripts/image has no {user}");
    }
}

#[test]
fn services_of_compose_have_the_capability_of_the_unit_and_nothing_else() {
    let compose = documents("compose/compose.yaml").remove(0);
    for (program, added) in [("agent", json!(["NET_RAW"])), ("collector", Value::Null)] {
        // serde-saphyr merges `<<` itself.
        let service = &compose["services"][program];
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{service}");
        assert_eq!(service["cap_add"], added);
        assert_eq!(service["read_only"], true);
        assert_eq!(service["tmpfs"], json!(["/tmp"]));
        assert_eq!(service["network_mode"], "host");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]));
        assert_eq!(service["mem_limit"], format!("{}g", memory_max(program)));
    }
}

#[test]
fn images_are_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = documents("helm/Chart.yaml").remove(0);
    assert_eq!((&chart["version"], &chart["appVersion"]), (&version.into(), &version.into()));
    let kustomization = documents("kubernetes/kustomization.yaml").remove(0);
    for image in kustomization["images"].as_array().unwrap() {
        assert_eq!(image["newTag"], version);
    }
    let compose = text("compose/compose.yaml");
    assert_eq!(compose.matches(&format!(":${{NETMON_VERSION:-{version}}}")).count(), 2);
}
