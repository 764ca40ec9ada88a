//! What is taken of manifests, and that nothing else is passed over.

use super::super::definition::{DefinitionForm, Workload};
use super::*;

const POD_TEXT: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  index.html: |
    hello
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app: web}
spec:
  hostNetwork: true
  containers:
    - name: web
      image: example/web:1
      command: [httpd, -f]
      env: [{name: A, value: '1'}]
      ports: [{containerPort: 8080, hostPort: 8080}]
      volumeMounts: [{name: site, mountPath: /www}]
      livenessProbe: {exec: {command: ['true']}, periodSeconds: 5}
  volumes:
    - name: site
      configMap: {name: settings}
";

fn kube(text: &str) -> Result<KubeWorkload, Vec<Diagnostic>> {
    match Workload::read(DefinitionForm::Kube, text)? {
        Workload::Kube(kube) => Ok(*kube),
        Workload::Compose { .. } => panic!("a compose file"),
    }
}

fn refused(text: &str) -> Vec<(&'static str, usize)> {
    let findings = kube(text).err().unwrap_or_default();
    findings.iter().map(|it| (it.code.name(), it.span.line)).collect()
}

#[test]
fn a_pod_with_its_settings_is_read_and_kept_as_json() {
    let pod = kube(POD_TEXT).unwrap();
    assert_eq!(
        (pod.pod().as_str(), pod.images.as_slice()),
        ("web", ["example/web:1".to_owned()].as_slice())
    );
    assert_eq!(pod.manifests.len(), 2);
    assert_eq!(pod.manifests[0]["data"]["index.html"], "hello\n");
    assert_eq!(pod.manifests[1]["spec"]["containers"][0]["ports"][0]["hostPort"], 8080);
    assert!(pod.stateful.is_empty());
    let deployment = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: x}]}
";
    assert_eq!(kube(deployment).unwrap().pod(), "web-pod");
    assert_eq!(
        refused(&deployment.replace("replicas: 1", "replicas: 3")),
        [("workload.unsupported", 5)]
    );
}

#[test]
fn every_other_kind_and_key_is_refused_by_name() {
    for (old, new, line) in [
        ("kind: ConfigMap", "kind: Secret", 2),
        ("kind: ConfigMap", "kind: StatefulSet", 2),
        ("  hostNetwork: true", "  hostPID: true", 14),
        ("      command: [httpd, -f]", "      securityContext: {privileged: true}", 18),
        ("      configMap: {name: settings}", "      hostPath: {path: /}", 25),
        ("      configMap: {name: settings}", "      emptyDir: {}", 25),
        ("  labels: {app: web}", "  annotations: {a: b}", 12),
    ] {
        let text = POD_TEXT.replacen(old, new, 1);
        assert_ne!(text, POD_TEXT, "{old}");
        assert_eq!(refused(&text), [("workload.unsupported", line)], "{new}");
    }
    let second = format!("{POD_TEXT}---\nkind: Pod\nmetadata: {{name: b}}\nspec: {{}}\n");
    assert_eq!(refused(&second), [("workload.unsupported", 28)]);
    for text in ["", "kind: Pod\n", "a: 1\n", "kind: ConfigMap\nmetadata: {name: a}\n"] {
        assert!(!refused(text).is_empty(), "{text:?}");
    }
}

#[test]
fn a_claim_is_named_with_where_it_is_mounted() {
    let text = POD_TEXT
        .replace("configMap: {name: settings}", "persistentVolumeClaim: {claimName: orders}")
        + "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: orders}\nspec: {resources: {}}\n";
    let read = kube(&text).unwrap();
    assert_eq!(read.stateful.len(), 1, "{:?}", read.stateful);
    let part = &read.stateful[0];
    assert_eq!((part.name.as_str(), part.mounted_at.as_deref()), ("orders", Some("/www")));
    assert_eq!((part.kind.name(), part.line), ("volume_claim", 25));
}
