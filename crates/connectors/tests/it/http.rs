//! HTTP, connections and certificates against real servers: Python's, and that of openssl. Where a
//! server must misbehave, a listener of our own does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use carnet_connect::{
    Address, Certificate, CertificateRequest, Header, HeaderValue, HttpRequest, HttpResponse,
    StoreError,
};
use carnet_connectors::{certificate, connect, http};
use carnet_model::{Code, Secret};

/// A process that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Python's server, with an answer for each path that the tests ask for.
const PYTHON: &str = r#"
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
    def do(self):
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length)
        if self.path == "/health":
            self.answer(200, b'{"status": "ready"}', [("X-Part", "one"), ("X-Part", "two")])
        elif self.path == "/guarded":
            good = self.headers.get("Authorization") == "Bearer s3cret-t0ken"
            self.answer(200 if good else 401, b"in" if good else b"out")
        elif self.path == "/moved":
            self.answer(302, headers=[("Location", "/health")])
        elif self.path == "/large":
            self.answer(200, b"x" * 100000)
        elif self.path == "/echo":
            said = self.command + " " + sent.decode() + " " + self.headers.get("User-Agent", "")
            self.answer(200, said.encode())
        else:
            self.answer(404, b"not here")
    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#;

fn python() -> Server {
    #[expect(clippy::disallowed_methods, reason = "the test command tells where Python is")]
    let program = std::env::var("CARNET_TEST_PYTHON")
        .expect("CARNET_TEST_PYTHON is not set: run ./test, which installs it");
    let mut child =
        Command::new(program).args(["-c", PYTHON]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Server { child, port: line.trim().parse().unwrap() }
}

fn get(url: String) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        url,
        headers: Vec::new(),
        body: Vec::new(),
        limit: Duration::from_secs(10),
        body_bytes_max: 65_536,
        roots: None,
    }
}

fn header(name: &str, value: HeaderValue) -> Vec<Header> {
    vec![Header { name: name.to_owned(), value }]
}

#[test]
fn any_status_is_an_answer_and_nothing_is_followed() {
    let server = python();
    let ask = |path: &str| http(&get(format!("http://127.0.0.1:{}{path}", server.port))).unwrap();
    let answer = ask("/health");
    assert_eq!((answer.status, answer.cut), (200, false));
    assert_eq!(answer.body, br#"{"status": "ready"}"#);
    let parts = answer.headers.iter().filter(|(name, _)| name == "x-part");
    let parts: Vec<&str> = parts.map(|(_, value)| value.as_str()).collect();
    assert_eq!(parts, ["one", "two"]);
    assert_eq!((ask("/none").status, ask("/none").body), (404, b"not here".to_vec()));
    let moved = ask("/moved");
    assert_eq!((moved.status, moved.body.len()), (302, 0));
}

#[test]
fn a_secret_is_sent_and_never_shown() {
    let server = python();
    let url = format!("http://127.0.0.1:{}/guarded", server.port);
    let with = |token: &str| {
        let value = HeaderValue::Secret(Secret::new(format!("Bearer {token}")));
        HttpRequest { headers: header("Authorization", value), ..get(url.clone()) }
    };
    assert_eq!(http(&with("s3cret-t0ken")).unwrap().status, 200);
    assert_eq!(http(&with("another")).unwrap().status, 401);
    assert_eq!(http(&get(url.clone())).unwrap().status, 401);
    let request = with("s3cret-t0ken");
    assert!(!format!("{request:?}").contains("s3cret"));
    let bad = with("s3cret-t0ken\n");
    let shown = format!("{:?}", http(&bad).unwrap_err());
    assert!(!shown.contains("s3cret"), "{shown}");
    let closed = HttpRequest { url: format!("http://127.0.0.1:{}/", closed_port()), ..request };
    let error = http(&closed).unwrap_err();
    assert_eq!(error.code(), Code::STORE_UNREACHABLE);
    assert!(error.remedy_text().is_some());
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}

#[test]
fn bodies_are_sent_and_read_up_to_their_limit() {
    let server = python();
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", server.port);
    let said = |method: &str, body: &[u8]| {
        let (method, body) = (method.to_owned(), body.to_vec());
        let answer = http(&HttpRequest { method, body, ..get(url("/echo")) }).unwrap();
        String::from_utf8(answer.body).unwrap()
    };
    assert_eq!(said("POST", b"hello"), "POST hello carnet");
    assert_eq!(said("PUT", b"hello"), "PUT hello carnet");
    assert_eq!(said("POST", b""), "POST  carnet");
    assert_eq!(said("DELETE", b""), "DELETE  carnet");
    let head = http(&HttpRequest { method: "HEAD".to_owned(), ..get(url("/large")) }).unwrap();
    assert_eq!((head.status, head.body.len(), head.cut), (200, 0, false));
    for (max, bytes, cut) in [(99_999, 99_999, true), (100_000, 100_000, false), (0, 0, true)] {
        let request = HttpRequest { body_bytes_max: max, ..get(url("/large")) };
        let answer = http(&request).unwrap();
        assert_eq!((answer.body.len(), answer.cut), (bytes, cut));
    }
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A listener that reads a little of the first bytes of a client, then does as it likes.
fn listener(behave: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut client = client;
                let _ = client.read(&mut [0; 4_096]);
                behave(client);
            });
        }
    });
    port
}

fn drip(mut client: TcpStream, byte: u8) {
    while client.write_all(&[byte]).is_ok() {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn error_of(request: &HttpRequest) -> (Code, Duration) {
    let started = Instant::now();
    let error = http(request).unwrap_err();
    assert!(error.remedy_text().is_some(), "{error:?}");
    (error.code(), started.elapsed())
}

#[test]
fn what_is_no_answer_is_an_error() {
    let behaviours: [(fn(TcpStream), Code); 4] = [
        (|mut client| drop(client.write_all(b"garbage\r\n\r\n")), Code::STORE_MALFORMED),
        (drop, Code::STORE_UNREACHABLE),
        (
            |mut client| {
                let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
            },
            Code::STORE_UNREACHABLE,
        ),
        (
            |mut client| {
                let _ = client.write_all(b"HTTP/1.1 200 OK\r\nX: ");
                while client.write_all(&[b'x'; 4_096]).is_ok() {}
            },
            Code::STORE_MALFORMED,
        ),
    ];
    for (number, (behave, code)) in behaviours.into_iter().enumerate() {
        let url = format!("http://127.0.0.1:{}/", listener(behave));
        assert_eq!(error_of(&get(url)).0, code, "behaviour {number}");
    }
    for url in ["ftp://127.0.0.1/", "http://", "/", "http://u:p@127.0.0.1/", "http://a b/"] {
        let error = http(&get(url.to_owned())).unwrap_err();
        assert_eq!(error.code(), Code::STORE_URL, "{url}");
        assert!(!format!("{error:?}").contains("u:p"), "{error:?}");
    }
    let unknown = get("http://no-such-host.invalid/".to_owned());
    assert_eq!(error_of(&unknown).0, Code::STORE_UNREACHABLE);
}

#[test]
fn a_slow_server_is_left_in_time() {
    let slow: [fn(TcpStream); 3] = [
        |client| {
            std::thread::sleep(Duration::from_secs(30));
            drop(client);
        },
        |mut client| {
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nX: ");
            drip(client, b'x');
        },
        |mut client| {
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
            drip(client, b'x');
        },
    ];
    for behave in slow {
        let url = format!("http://127.0.0.1:{}/", listener(behave));
        let request = HttpRequest { limit: Duration::from_millis(500), ..get(url) };
        let (code, took) = error_of(&request);
        assert_eq!(code, Code::STORE_UNREACHABLE);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

// ---- connections ------------------------------------------------------------------------------

fn address(host: &str, port: u16) -> Address {
    Address { host: host.to_owned(), port, limit: Duration::from_secs(5) }
}

#[test]
fn an_open_port_is_told_from_a_closed_one() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost"] {
        assert!(connect(&address(host, port)).unwrap() < Duration::from_secs(5));
    }
    let error = connect(&address("127.0.0.1", closed_port())).unwrap_err();
    assert_eq!(error.code(), Code::STORE_UNREACHABLE);
    assert!(error.to_string().ends_with("refuses connections"), "{error}");
    let error = connect(&address("no-such-host.invalid", port)).unwrap_err();
    assert_eq!(error.code(), Code::STORE_UNREACHABLE);
    let hurried = Address { limit: Duration::ZERO, ..address("127.0.0.1", port) };
    assert_eq!(connect(&hurried).unwrap_err().code(), Code::STORE_UNREACHABLE);
}

// ---- certificates -----------------------------------------------------------------------------

/// An authority and a server certificate of it, made by openssl, good for 30 days.
struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Self { folder };
        authority.openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 60 -subj /CN=Authority -keyout ca.key -out ca.pem",
        );
        authority
            .openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out a.csr");
        let names = "subjectAltName=DNS:localhost,DNS:shop.example,IP:127.0.0.1\n";
        std::fs::write(authority.path("names.txt"), names).unwrap();
        authority.openssl(
            "x509 -req -in a.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names.txt -out cert.pem",
        );
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, args: &str) {
        let output = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(self.folder.path())
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// openssl's own server, which shows a page about the connection.
    fn server(&self, args: &[&str]) -> Server {
        let port = closed_port();
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-www", "-cert", "cert.pem", "-key", "key.pem"])
            .args(["-accept", &format!("127.0.0.1:{port}")])
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server { child, port };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "openssl s_server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

fn shown(port: u16, name: Option<&str>, roots: Option<&Path>) -> Result<Certificate, StoreError> {
    certificate(&CertificateRequest {
        address: address("127.0.0.1", port),
        server_name: name.map(str::to_owned),
        roots: roots.map(Path::to_owned),
    })
}

#[test]
fn a_certificate_is_shown_whether_it_is_trusted_or_not() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let ours = authority.path("ca.pem");
    for args in [&[][..], &["-tls1_2"], &["-Verify", "1", "-verify_return_error"]] {
        let server = authority.server(args);
        for name in [None, Some("localhost"), Some("shop.example")] {
            let shown = shown(server.port, name, Some(&ours)).unwrap();
            assert_eq!(shown.distrust, None, "{name:?} {args:?}");
            assert_eq!(
                (shown.subject.as_str(), shown.issuer.as_str()),
                ("CN=localhost", "CN=Authority")
            );
            assert_eq!(shown.not_after_s - shown.not_before_s, 30 * 86_400);
        }
        let other = shown(server.port, Some("other.example"), Some(&ours)).unwrap();
        assert!(other.distrust.is_some_and(|why| why.contains("other.example")), "{args:?}");
        for roots in [Some(stranger.path("ca.pem")), None] {
            let unknown = shown(server.port, None, roots.as_deref()).unwrap();
            assert!(unknown.distrust.is_some(), "{roots:?} {args:?}");
        }
    }
}

#[test]
fn the_digest_is_that_of_openssl() {
    let authority = Authority::new();
    let server = authority.server(&[]);
    authority.openssl("x509 -in cert.pem -outform der -out cert.der");
    let der = std::fs::read(authority.path("cert.der")).unwrap();
    let digest = carnet_model::gate::Content::of(&der).sha256;
    let shown = shown(server.port, None, Some(&authority.path("ca.pem"))).unwrap();
    assert_eq!(&shown.sha256, digest.as_bytes());
}

#[test]
fn https_trusts_whom_it_is_told_to_trust() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.server(&[]);
    let ask = |host: &str, roots: Option<PathBuf>| -> Result<HttpResponse, StoreError> {
        http(&HttpRequest { roots, ..get(format!("https://{host}:{}/", server.port)) })
    };
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(ask(host, Some(authority.path("ca.pem"))).unwrap().status, 200);
        for roots in [Some(stranger.path("ca.pem")), None] {
            let error = ask(host, roots).unwrap_err();
            assert_eq!(error.code(), Code::STORE_UNREACHABLE);
            assert!(error.to_string().starts_with("no TLS with"), "{error}");
            assert!(error.remedy_text().is_some_and(|remedy| remedy.contains("roots")));
        }
    }
    for roots in [authority.path("none.pem"), authority.path("names.txt")] {
        let error = ask("localhost", Some(roots)).unwrap_err();
        assert_eq!(error.code(), Code::STORE_URL);
    }
}

#[test]
fn a_server_that_shows_no_certificate_is_left_in_time() {
    let plain: [fn(TcpStream); 3] = [
        |mut client| drop(client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        |client| {
            std::thread::sleep(Duration::from_secs(30));
            drop(client);
        },
        |mut client| {
            let _ = client.write_all(&[0x16, 3, 3, 0x40, 0]);
            drip(client, 2);
        },
    ];
    for behave in plain {
        let limit = Duration::from_millis(500);
        let request = CertificateRequest {
            address: Address { limit, ..address("127.0.0.1", listener(behave)) },
            server_name: None,
            roots: None,
        };
        let started = Instant::now();
        let error = certificate(&request).unwrap_err();
        assert_eq!(error.code(), Code::STORE_UNREACHABLE, "{error:?}");
        assert!(error.remedy_text().is_some());
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    let bad = CertificateRequest {
        address: address("127.0.0.1", closed_port()),
        server_name: Some("no name".to_owned()),
        roots: None,
    };
    assert_eq!(certificate(&bad).unwrap_err().code(), Code::STORE_URL);
}
