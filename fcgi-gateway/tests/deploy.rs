//! The files under `deploy/`: what can be known of them without a cluster.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn deploy(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    (path, text)
}

/// Whether `fcgi` takes these arguments: they are read before `--help` ends it.
#[track_caller]
fn assert_taken(args: &[String]) {
    let Output { status, stderr, .. } =
        Command::new(env!("CARGO_BIN_EXE_fcgi")).args(args).arg("--help").output().unwrap();
    assert!(status.success(), "{args:?}: {}", String::from_utf8_lossy(&stderr));
}

#[test]
fn an_unknown_flag_would_be_found() {
    let args = ["serve", "/srv", "--no-such-flag", "--help"];
    assert!(
        !Command::new(env!("CARGO_BIN_EXE_fcgi")).args(args).output().unwrap().status.success()
    );
}

#[test]
fn systemd_units() {
    let (service_path, service) = deploy("systemd/fcgi.service");
    let (socket_path, _) = deploy("systemd/fcgi.socket");
    let start = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let args = Vec::from_iter(start.split_whitespace().skip(1).map(str::to_owned));
    assert_taken(&args);

    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!(
            "systemd-analyze is not installed; the units were not verified by systemd itself"
        );
        return;
    };
    assert!(version.status.success());
    // The program is where the test built it.
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_fcgi");
    let unit = folder.path().join("fcgi.service");
    std::fs::write(&unit, service.replace("/usr/local/bin/fcgi", program)).unwrap();
    std::fs::copy(socket_path, folder.path().join("fcgi.socket")).unwrap();
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&unit)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    let about_us = Vec::from_iter(said.lines().filter(|line| line.contains("fcgi.")));
    assert!(about_us.is_empty(), "{}: {said}", service_path.display());
}

#[test]
fn dockerfile() {
    let (_, text) = deploy("docker/Dockerfile");
    let command = text.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    let args: Vec<String> = serde_json::from_str(command).unwrap();
    assert_taken(&args);
    let stages = Vec::from_iter(text.lines().filter(|line| line.starts_with("FROM ")));
    assert_eq!(stages.last(), Some(&"FROM scratch"));
    for port in ["8080", "9100"] {
        let listens = args.iter().any(|arg| arg.ends_with(&format!(":{port}")));
        let is_exposed =
            text.lines().any(|line| line.starts_with("EXPOSE ") && line.contains(port));
        assert!(listens && is_exposed, "{port}");
    }
}

/// All documents of a manifest.
fn manifest(name: &str) -> Vec<Value> {
    use serde::Deserialize;
    let (_, text) = deploy(name);
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    documents.map(|document| Value::deserialize(document).expect("YAML")).collect()
}

fn of_kind<'a>(documents: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    documents.iter().filter(move |document| document["kind"] == kind)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn kubernetes_manifests() {
    for (name, gateways) in [("kubernetes/sidecar.yaml", 1), ("kubernetes/headless.yaml", 1)] {
        let documents = manifest(name);
        let mut found = 0;
        for deployment in of_kind(&documents, "Deployment") {
            let template = &deployment["spec"]["template"];
            let labels = &template["metadata"]["labels"];
            assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels, "{name}");
            let pod = &template["spec"];
            check_volumes(pod);
            for container in list(&pod["containers"]) {
                check_ports(container);
                if container["image"] == "example.org/fcgi" {
                    found += 1;
                    check_gateway(template, container);
                }
            }
        }
        assert_eq!(found, gateways, "{name}");
        for service in of_kind(&documents, "Service") {
            let selector = &service["spec"]["selector"];
            let is_some_pod = |deployment: &Value| {
                &deployment["spec"]["template"]["metadata"]["labels"] == selector
            };
            assert!(of_kind(&documents, "Deployment").any(is_some_pod), "{name}: {service}");
        }
    }
}

/// Every mount is of a volume, and every volume is mounted.
fn check_volumes(pod: &Value) {
    let containers = list(&pod["containers"]).iter().chain(list(&pod["initContainers"]));
    let mounts = Vec::from_iter(containers.flat_map(|container| list(&container["volumeMounts"])));
    let volumes = list(&pod["volumes"]);
    for mount in &mounts {
        assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "{mount}");
    }
    for volume in volumes {
        assert!(mounts.iter().any(|mount| mount["name"] == volume["name"]), "{volume}");
    }
}

/// Probes go to ports that there are.
fn check_ports(container: &Value) {
    for probe in ["readinessProbe", "livenessProbe"] {
        for way in ["httpGet", "tcpSocket"] {
            let port = &container[probe][way]["port"];
            let is_there = list(&container["ports"]).iter().any(|other| &other["name"] == port);
            assert!(port.is_null() || is_there, "{probe} of {}", container["name"]);
        }
    }
}

fn check_gateway(template: &Value, container: &Value) {
    let args = list(&container["args"]).iter().map(|arg| arg.as_str().unwrap().to_owned());
    let args = Vec::from_iter(args);
    assert_taken(&args);
    let port_of = |name: &str| {
        let port = list(&container["ports"]).iter().find(|port| port["name"] == name).unwrap();
        port["containerPort"].to_string()
    };
    for (flag, port) in [("--listen=", port_of("http")), ("--ops-listen=", port_of("ops"))] {
        let listens = args.iter().filter_map(|arg| arg.strip_prefix(flag));
        assert_eq!(Vec::from_iter(listens), [format!("0.0.0.0:{port}")]);
    }
    assert_eq!(template["metadata"]["annotations"]["prometheus.io/port"], port_of("ops").as_str());
    // Folders that it is given are mounted.
    let mounts = list(&container["volumeMounts"]);
    assert!(mounts.iter().any(|mount| mount["mountPath"] == args[1].as_str()), "{args:?}");
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/tmp"), "for temporary files");
    // It has the time that its own limits give answers under way: 30 s, after the pause before.
    let grace = template["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
    let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    assert!(grace > pause + 30, "{grace} s");
}

#[test]
fn the_name_of_a_headless_service_is_what_gateways_are_given() {
    let documents = manifest("kubernetes/headless.yaml");
    let headless =
        of_kind(&documents, "Service").find(|service| service["spec"]["clusterIP"] == "None");
    let headless = headless.expect("a headless service");
    let (name, port) = (&headless["metadata"]["name"], &headless["spec"]["ports"][0]["port"]);
    let flag = format!("--fpm={}:{port}", name.as_str().unwrap());
    let gateways = of_kind(&documents, "Deployment").filter(|deployment| {
        list(&deployment["spec"]["template"]["spec"]["containers"])
            .iter()
            .any(|container| list(&container["args"]).iter().any(|arg| arg == flag.as_str()))
    });
    assert_eq!(gateways.count(), 1);
}
