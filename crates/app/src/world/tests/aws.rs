//! Services of AWS, as an API server has them that is not ours (moto). It keeps what it is told and
//! checks signatures and policies; it runs no container, so tasks are written down by the test, in the
//! form that ECS gives those of a service.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use carnet_connect::{
    Address, Aws, AwsPlace, Certificate, CertificateRequest, HttpRequest, HttpResponse, Objects,
    Outside, SqlSession, StoreError,
};
use carnet_connectors::{S3Keys, open_aws};
use carnet_engine::{Surroundings, evaluate_outside};
use carnet_model::Secret;
use carnet_model::gate::{Definition, Evaluation, Observation, Verdict, read_rule};
use carnet_model::policy::{PolicyAnswer, PolicyQuestion};
use serde_json::{Value, json};

use super::{Error, Fail, NoData, Pass, Server};
use crate::outside::SystemClock;
use crate::world::World;

const REGION: &str = "eu-west-2";
const RUN: &str = "platform_20260301T120000Z";

/// Does what the test says, with Amazon's own client.
const SCRIPT: &str = r"
import boto3, json, sys, urllib.request
url, words = sys.argv[1], json.loads(sys.argv[2])
def client(name):
    return boto3.client(name, endpoint_url=url, region_name='eu-west-2',
                        aws_access_key_id='test', aws_secret_access_key='test')
def post(path, data):
    headers = {'Content-Type': 'application/json'}
    urllib.request.urlopen(urllib.request.Request(url + path, data, headers, method='POST')).read()
out = None
for service, action, args in words:
    if service == 'task':
        net = client('ec2')
        subnet = net.describe_subnets()['Subnets'][0]['SubnetId']
        group = net.describe_security_groups()['SecurityGroups'][0]['GroupId']
        network = {'awsvpcConfiguration': {'subnets': [subnet], 'securityGroups': [group]}}
        out = getattr(client('ecs'), action)(networkConfiguration=network, **args)
        out = [it['taskArn'] for it in out.get('tasks', [])]
    elif service == 'keys':
        iam = client('iam')
        iam.create_user(UserName='carnet')
        document = {'Version': '2012-10-17', 'Statement': [
            {'Effect': 'Allow', 'Action': action, 'Resource': '*'}]}
        iam.put_user_policy(UserName='carnet', PolicyName='p', PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName='carnet')['AccessKey']
        out = [key['AccessKeyId'], key['SecretAccessKey']]
    elif service == 'post':
        post(action, json.dumps(args).encode())
    else:
        out = getattr(client(service), action)(**args)
print(json.dumps(out, default=str))
";

struct Moto {
    url: String,
    python: String,
    keys: S3Keys,
    _server: Server,
}

fn keys(id: &str, secret: &str) -> S3Keys {
    S3Keys { id: Some(Secret::new(id)), secret: Some(Secret::new(secret)), token: None }
}

impl Moto {
    fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the test command tells where Python is")]
        let python = std::env::var("CARNET_TEST_PYTHON")
            .expect("CARNET_TEST_PYTHON is not set: run ./test, which installs it");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(Path::new(&python).with_file_name("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        // It starts no task, and counts this one for each service.
        command.env("MOTO_ECS_SERVICE_RUNNING", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = command.spawn().expect("moto, which scripts/requirements.txt names");
        let server = Server(server);
        let until = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "moto does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let url = format!("http://127.0.0.1:{port}");
        Self { url, python, keys: keys("test", "test"), _server: server }
    }

    fn does(&self, words: &Value) -> Value {
        let mut command = Command::new(&self.python);
        let output = command.args(["-c", SCRIPT, &self.url, &words.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn put(&self, name: &str, value: &str) {
        self.does(&json!([["ssm", "put_parameter", {
            "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true,
        }]]));
    }

    fn evaluate(
        &self,
        folder: &Path,
        kind: &str,
        with: &Value,
    ) -> (Evaluation, Option<Observation>) {
        let clock = SystemClock::new().unwrap();
        let around = Surroundings { folder, outside: self, clock: &clock };
        let definition = Definition::new(read_rule(kind, with).unwrap());
        let seen = evaluate_outside(&around, &definition);
        assert!(!seen.0.is_broken(), "{seen:?}");
        seen
    }

    #[track_caller]
    fn says(&self, folder: &Path, kind: &str, with: &Value, verdict: Verdict, reason: &str) {
        let judgement = self.evaluate(folder, kind, with).0.judgement;
        assert_eq!(judgement.verdict, verdict, "{with}: {judgement:?}");
        assert!(judgement.reason.contains(reason), "{with}: {judgement:?}");
    }
}

impl Outside for Moto {
    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, StoreError> {
        World.http(request)
    }
    fn connect(&self, address: &Address) -> Result<Duration, StoreError> {
        World.connect(address)
    }
    fn certificate(&self, request: &CertificateRequest) -> Result<Certificate, StoreError> {
        World.certificate(request)
    }
    fn sql(&self, url: &str) -> Result<Box<dyn SqlSession>, StoreError> {
        World.sql(url)
    }
    fn objects(&self, url: &str) -> Result<Box<dyn Objects>, StoreError> {
        World.objects(url)
    }
    fn aws(&self, place: &AwsPlace) -> Result<Box<dyn Aws>, StoreError> {
        open_aws(place, &self.keys)
    }
    fn policy(&self, question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, StoreError> {
        World.policy(question)
    }
    fn secret(&self, name: &str) -> Option<Secret> {
        World.secret(name)
    }
}

#[test]
fn handles_resolve_in_parameters() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let registry =
        (10..35).fold(String::new(), |all, number| all + &format!("H_{number}=value {number}\n"));
    std::fs::write(folder.path().join("handles"), registry).unwrap();
    let path = "/carnet/dev_min";
    let with = json!({"registry": "handles", "parameters": {
        "endpoint": moto.url, "region": REGION, "path": path,
    }});
    let says = |verdict, reason: &str| {
        moto.says(folder.path(), "handles", &with, verdict, reason);
    };
    says(NoData, "nothing is set in /carnet/dev_min");
    // Three pages, and what is not directly below the path.
    let puts = (10..35).map(|number| {
        let (name, value) = (format!("{path}/H_{number}"), format!("value {number}"));
        let kind = if number % 2 == 0 { "String" } else { "SecureString" };
        json!(["ssm", "put_parameter", {"Name": name, "Value": value, "Type": kind}])
    });
    moto.does(&puts.collect());
    moto.put("/carnet/dev_min/deeper/OTHER", "x");
    moto.put("/carnet/dev_min2/OTHER", "x");
    says(Pass, "25 handles resolve in /carnet/dev_min as handles pins them; control:");
    moto.put("/carnet/dev_min/H_34", "value 35");
    says(Fail, "H_34 has another value in /carnet/dev_min");
    moto.does(&json!([["ssm", "delete_parameter", {"Name": "/carnet/dev_min/H_34"}]]));
    says(Fail, "the handle H_34 is missing");
    moto.put("/carnet/dev_min/H_34", "value 34");
    moto.put("/carnet/dev_min/PASSWORD", "s3cr3t");
    says(Fail, "PASSWORD is set in /carnet/dev_min and not known");
    // Of what the registry does not know nothing but the name is recorded, and no value of any.
    let mut lenient = with.clone();
    lenient["others"] = json!(true);
    let (evaluation, seen) = moto.evaluate(folder.path(), "handles", &lenient);
    assert_eq!(evaluation.judgement.verdict, Pass, "{evaluation:?}");
    let seen = serde_json::to_string(&seen).unwrap();
    let unknown = r#"{"name":"PASSWORD"}"#;
    assert!(seen.contains(unknown), "{seen}");
    for value in ["s3cr3t", "value 1"] {
        assert!(!seen.contains(value), "{seen}");
    }
}

#[test]
fn what_a_teardown_takes_away_is_gone_and_what_it_keeps_is_there() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let with = json!({
        "endpoint": moto.url, "region": REGION, "path": "/carnet",
        "absent": ["demo/", "core/DB_PASSWORD"], "present": ["core/TOPIC"],
    });
    let says = |verdict, reason: &str| {
        moto.says(folder.path(), "secrets_absent", &with, verdict, reason);
    };
    says(NoData, "/carnet/core/TOPIC is kept and not seen");
    moto.put("/carnet/core/TOPIC", "bus.audit");
    moto.put("/carnet/core/DB_PASSWORD", "s3cr3t");
    moto.put("/carnet/demo/a/b/TOKEN", "s3cr3t");
    says(Fail, "/carnet/core/DB_PASSWORD is still there");
    moto.does(&json!([["ssm", "delete_parameter", {"Name": "/carnet/core/DB_PASSWORD"}]]));
    says(Fail, "/carnet/demo/a/b/TOKEN is still there");
    let (_, seen) = moto.evaluate(folder.path(), "secrets_absent", &with);
    assert!(!serde_json::to_string(&seen).unwrap().contains("s3cr3t"));
    moto.does(&json!([["ssm", "delete_parameter", {"Name": "/carnet/demo/a/b/TOKEN"}]]));
    says(Pass, "2 names are gone from /carnet, and 1 that is kept is there");
    moto.does(&json!([["ssm", "delete_parameter", {"Name": "/carnet/core/TOPIC"}]]));
    says(NoData, "/carnet/core/TOPIC is kept and not seen");
}

/// moto makes each signature again, with Amazon's own code, and asks the user's policy.
#[test]
fn signatures_are_checked_and_what_may_not_be_asked_is_an_error() {
    let mut moto = Moto::start();
    moto.put("/carnet/core/TOPIC", "bus.audit");
    let pair = moto.does(&json!([["keys", ["ssm:GetParametersByPath"], {}]]));
    moto.does(&json!([["post", "/moto-api/reset-auth", 0]]));
    let (id, secret) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let absent = json!({
        "endpoint": moto.url, "region": REGION, "path": "/carnet", "absent": ["demo/"],
        "present": ["core/TOPIC"],
    });
    moto.keys = keys(id, secret);
    moto.says(folder.path(), "secrets_absent", &absent, Pass, "1 name is gone");
    let tag = json!({
        "endpoint": moto.url, "region": REGION, "repository": "platform", "tag": "git-0123abc",
        "digest": format!("sha256:{}", "0".repeat(64)),
    });
    // moto refuses in the form of older services, without the word that these have.
    let denied = "answers 403 to ecr:DescribeRepositories";
    moto.says(folder.path(), "registry_tag", &tag, Error, denied);
    let kind = "secrets_absent";
    moto.keys = keys(id, "another secret");
    moto.says(folder.path(), kind, &absent, Error, "answers 403 to ssm:GetParametersByPath");
    moto.keys = keys("AKIAUNKNOWN", secret);
    moto.says(folder.path(), kind, &absent, Error, "answers 403 to ssm:GetParametersByPath");
    moto.keys = S3Keys::default();
    moto.says(folder.path(), kind, &absent, Error, "AWS_ACCESS_KEY_ID is not set");
}

#[test]
fn what_does_not_answer_is_an_error() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let with = |address: &str| {
        json!({
            "endpoint": format!("http://{address}"), "region": REGION, "path": "/carnet",
            "absent": ["demo/"], "present": ["core/TOPIC"], "limit_s": 1,
        })
    };
    let says = |address: &str, reason: &str| {
        moto.says(folder.path(), "secrets_absent", &with(address), Error, reason);
    };
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    says(&closed, "refuses connections");
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    says(&mute.local_addr().unwrap().to_string(), "did not answer in time");
}

const DIGEST: &str = "sha256:abababababababababababababababababababababababababababababababab";

fn definition(name: &str, image: &str, run: &str) -> Value {
    json!(["ecs", "register_task_definition", {
        "family": name, "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc",
        "cpu": "256", "memory": "512", "containerDefinitions": [{
            "name": name, "image": image, "essential": true, "memory": 256,
            "environment": [
                {"name": "REQUIRED_PLATFORM_RUN_ID", "value": run},
                {"name": "OTHER", "value": "s3cr3t"},
            ],
        }],
    }])
}

fn service(name: &str) -> Value {
    json!(["task", "create_service", {
        "cluster": "demo", "serviceName": name, "taskDefinition": name, "desiredCount": 1,
        "launchType": "FARGATE",
    }])
}

fn task(name: &str, group: &str) -> Value {
    json!(["task", "run_task", {
        "cluster": "demo", "taskDefinition": name, "launchType": "FARGATE", "count": 1,
        "group": group,
    }])
}

#[test]
fn a_cluster_runs_what_it_must_and_nothing_else() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let with = json!({
        "endpoint": moto.url, "region": REGION, "cluster": "demo",
        "services": {"archive": {}, "ingest": {"replicas": 1}}, "image": DIGEST,
        "environment": {"REQUIRED_PLATFORM_RUN_ID": RUN}, "image_digest_told": false,
    });
    let says = |verdict, reason: &str| moto.says(folder.path(), "services", &with, verdict, reason);
    let does = |words: &[Value]| moto.does(&words.iter().cloned().collect());
    // Each look at a task would let it end in moto, if that were not stopped here.
    let held =
        json!({"model_name": "ecs::task", "transition": {"progression": "manual", "times": 1000}});
    does(&[json!(["post", "/moto-api/state-manager/set-transition", held])]);
    says(NoData, "there is no cluster demo");
    does(&[json!(["ecs", "create_cluster", {"clusterName": "demo"}])]);
    says(NoData, "nothing is in the cluster demo");
    let image = format!("registry.example/platform@{DIGEST}");
    let both = ["archive", "ingest"];
    does(&both.map(|it| definition(it, &image, RUN)));
    does(&[service("archive"), task("archive", "service:archive")]);
    says(Fail, "there is no service ingest");
    does(&[service("ingest")]);
    says(Fail, "ingest has 0 tasks that have not ended, and must have 1");
    let told = does(&[task("ingest", "service:ingest")]);
    says(Pass, "2 services run in demo as demanded on FARGATE, with 2 tasks; control: a cluster");
    let (_, seen) = moto.evaluate(folder.path(), "services", &with);
    assert!(!serde_json::to_string(&seen).unwrap().contains("s3cr3t"));

    // A second consumer, as a task of the service and as one of its own.
    let stop = |told: &Value| json!(["ecs", "stop_task", {"cluster": "demo", "task": told[0]}]);
    let second = does(&[task("ingest", "service:ingest")]);
    says(Fail, "ingest has 2 tasks that have not ended, and must have 1");
    does(&[stop(&second)]);
    let alone = does(&[task("ingest", "family:ingest")]);
    says(Fail, "a task of \"family:ingest\" runs, and the plan knows none");
    does(&[stop(&alone)]);
    says(Pass, "with 2 tasks");
    does(&[stop(&told)]);
    says(Fail, "ingest has 0 tasks");
    does(&[task("ingest", "service:ingest")]);

    // A service that the plan does not know, until it is gone.
    does(&[definition("reporter", &image, RUN), service("reporter")]);
    says(Fail, "the plan knows no service reporter");
    let gone = json!({"cluster": "demo", "service": "reporter", "force": true});
    does(&[json!(["ecs", "delete_service", gone])]);
    says(Pass, "2 services run");

    // moto counts what is wanted as running when the number is changed.
    let count = |count: u32| json!(["ecs", "update_service", {"cluster": "demo", "service": "ingest", "desiredCount": count}]);
    does(&[count(2)]);
    says(Fail, "ingest is to run 2 times, and must be to run 1 times");
    does(&[count(0)]);
    says(Fail, "ingest is to run 0 times");
    does(&[count(1)]);
    says(Pass, "2 services run");
}

#[test]
fn a_cluster_runs_the_pinned_image_for_this_run() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let with = json!({
        "endpoint": moto.url, "region": REGION, "cluster": "demo", "services": {"ingest": {}},
        "image": DIGEST, "environment": {"REQUIRED_PLATFORM_RUN_ID": RUN},
        "image_digest_told": false,
    });
    let held =
        json!({"model_name": "ecs::task", "transition": {"progression": "manual", "times": 1000}});
    moto.does(&json!([["post", "/moto-api/state-manager/set-transition", held]]));
    let made = |image: &str, run: &str, on: &str| {
        let mut service = service("ingest");
        service[2]["launchType"] = json!(on);
        let again = json!(["post", "/moto-api/reset", {}]);
        let cluster = json!(["ecs", "create_cluster", {"clusterName": "demo"}]);
        let definition = definition("ingest", image, run);
        moto.does(&json!([again, cluster, definition, service, task("ingest", "service:ingest")]));
    };
    let says = |verdict, reason: &str| moto.says(folder.path(), "services", &with, verdict, reason);
    let pinned = format!("registry.example/platform@{DIGEST}");
    made(&pinned, RUN, "FARGATE");
    says(Pass, "1 service runs in demo");
    // No container runs, so nobody tells what one is made from: that shows nothing unless it is said.
    let mut strict = with.clone();
    strict["image_digest_told"] = json!(true);
    let untold = "nobody tells which image the container ingest of a task of ingest runs";
    moto.says(folder.path(), "services", &strict, NoData, untold);
    made("registry.example/platform:git-0123abc", RUN, "FARGATE");
    says(Fail, "the container ingest of ingest is not made from the pinned image");
    made(&pinned.replace("ab", "cd"), RUN, "FARGATE");
    says(Fail, "is not made from the pinned image");
    made(&pinned, "platform_20260228T120000Z", "FARGATE");
    says(Fail, "the container ingest of ingest is given another REQUIRED_PLATFORM_RUN_ID");
    made(&pinned, RUN, "EC2");
    says(Fail, "ingest does not run on FARGATE");
    made(&pinned, RUN, "FARGATE");
    moto.does(&json!([definition("ingest", &pinned, "another")]));
    says(Pass, "1 service runs in demo");
    let newest = json!({"cluster": "demo", "service": "ingest", "taskDefinition": "ingest:2"});
    moto.does(&json!([["ecs", "update_service", newest]]));
    says(Fail, "ingest is given another REQUIRED_PLATFORM_RUN_ID");
}

#[test]
fn a_tag_in_a_registry_is_the_pinned_image_and_stays() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, mutability: &str| {
        let made = json!({"repositoryName": name, "imageTagMutability": mutability});
        let config = json!({
            "mediaType": "application/vnd.docker.container.image.v1+json", "size": 7023, "digest": DIGEST,
        });
        let manifest = json!({
            "schemaVersion": 2, "config": config, "layers": [],
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        });
        let put = json!({
            "repositoryName": name, "imageManifest": manifest.to_string(), "imageTag": "git-0123abc",
        });
        let put =
            moto.does(&json!([["ecr", "create_repository", made], ["ecr", "put_image", put]]));
        put["image"]["imageId"]["imageDigest"].as_str().unwrap().to_owned()
    };
    let says = |name: &str, tag: &str, digest: &str, verdict, reason: &str| {
        let with = json!({
            "endpoint": moto.url, "region": REGION, "repository": name, "tag": tag, "digest": digest,
        });
        moto.says(folder.path(), "registry_tag", &with, verdict, reason);
    };
    says("platform", "git-0123abc", DIGEST, NoData, "there is no repository platform");
    let digest = make("platform", "IMMUTABLE");
    says("platform", "git-0123abc", &digest, Pass, "cannot be moved; control: a tag that nobody");
    says("platform", "git-0123abc", DIGEST, Fail, "git-0123abc in platform is sha256:");
    says("platform", "git-4567def", &digest, Fail, "platform has no image tagged git-4567def");
    let digest = make("loose", "MUTABLE");
    says("loose", "git-0123abc", &digest, Fail, "the tags of loose can be moved");
}
