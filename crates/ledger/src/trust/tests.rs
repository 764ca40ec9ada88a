use super::*;
use proptest::prelude::*;

const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const SSH: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PGP: &str = "openpgp 0123456789abcdef0123456789ABCDEF01234567";

fn read(text: &str) -> TrustFile {
    TrustFile::parse(text.as_bytes()).unwrap()
}

fn problem(text: &str) -> TrustProblem {
    TrustFile::parse(text.as_bytes()).unwrap_err().problem
}

fn time(text: &str) -> EventTime {
    text.parse().unwrap()
}

#[test]
fn each_kind_of_key_is_read_with_its_options() {
    let file = read(&format!(
        "# whom we believe\n\n\
         *  vkey {VKEY}\n\
         ops@lab.org,*@prod.org namespaces=\"git,carnet-*\",valid-after=\"20260101\" {SSH} a comment\r\n\
         \t\"Jo Doe, ops\" Valid-Before=\"20271231235959Z\"  {PGP}  \n"
    ));
    let [log, ssh, pgp] = file.entries() else { panic!("{file:?}") };
    assert_eq!((log.line, ssh.line, pgp.line), (3, 4, 5));
    assert!(matches!(&log.key, TrustedKey::Log(key) if key.to_string() == VKEY));
    assert!(log.principals.matches("anyone") && log.admits("anything"));
    assert!(ssh.principals.matches("jo@prod.org") && !ssh.principals.matches("jo@lab.org"));
    assert!(ssh.admits("git") && ssh.admits("carnet-snapshot") && !ssh.admits("file"));
    assert_eq!(ssh.valid_after, Some(time("2026-01-01T00:00:00.000Z")));
    assert!(!ssh.is_valid_at(time("2025-12-31T23:59:59.999Z")));
    assert!(ssh.is_valid_at(time("2026-01-01T00:00:00.000Z")));
    let TrustedKey::Ssh(key) = &ssh.key else { panic!("{ssh:?}") };
    assert_eq!(key.to_string(), SSH);
    assert_eq!(key.algorithm(), "ssh-ed25519");
    assert!(key.fingerprint().starts_with("SHA256:") && key.fingerprint().len() == 50);
    assert!(pgp.principals.matches("Jo Doe") && pgp.principals.matches(" ops"));
    assert_eq!(pgp.valid_before, Some(time("2027-12-31T23:59:59.000Z")));
    assert!(matches!(&pgp.key, TrustedKey::OpenPgp(found)
        if found.as_str() == "0123456789ABCDEF0123456789ABCDEF01234567"));
}

#[test]
fn log_keys_are_those_that_may_sign_a_log() {
    let file = read(&format!(
        "* vkey {VKEY}\n\
         * namespaces=\"carnet-log\",valid-before=\"203001011200Z\" vkey {VKEY}\n\
         * namespaces=\"file\" vkey {VKEY}\n\
         * {SSH}\n* {PGP}\n"
    ));
    let keys: Vec<_> = file.log_keys().collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[1].valid_before, Some(time("2030-01-01T12:00:00.000Z")));
}

#[test]
fn lines_that_are_not_understood_refuse_the_file() {
    use TrustProblem as P;
    for (text, expected) in [
        ("*".to_owned(), P::Form),
        ("* vkey".to_owned(), P::Form),
        (VKEY.to_owned(), P::Form),
        (format!("* {VKEY}"), P::Option(VKEY.chars().take_while(|c| *c != '=').take(80).collect())),
        (format!("\"* vkey {VKEY}"), P::Quote),
        (format!("\"*\"x vkey {VKEY}"), P::Quote),
        (format!("a\"b vkey {VKEY}"), P::Quote),
        (format!("\"\" vkey {VKEY}"), P::Pattern),
        (format!("a,,b vkey {VKEY}"), P::Pattern),
        (format!("* cert-authority {SSH}"), P::Option("cert-authority".to_owned())),
        (
            format!("* cert-authority,namespaces=\"a\" {SSH}"),
            P::Option("cert-authority".to_owned()),
        ),
        (format!("* until=\"20270101\" {SSH}"), P::Option("until".to_owned())),
        (format!("* namespaces=\"a\",namespaces=\"b\" {SSH}"), P::Twice("namespaces")),
        (format!("* namespaces=a {SSH}"), P::Quote),
        (format!("* namespaces=\"a\"b {SSH}"), P::Quote),
        (format!("* namespaces=\"\" {SSH}"), P::Pattern),
        (format!("* valid-after=\"2027\" {SSH}"), P::Time),
        (format!("* valid-after=\"20270230\" {SSH}"), P::Time),
        (format!("* valid-after=\"2027010112\" {SSH}"), P::Time),
        (format!("* valid-after=\"+2270101\" {SSH}"), P::Time),
        ("* namespaces=\"a\" ssh-dss AAAA".to_owned(), P::Kind("ssh-dss".to_owned())),
        (format!("* vkey {}", VKEY.replace("c74f", "c74e")), P::Log(KeyError::Hash)),
        (format!("* vkey {VKEY} comment"), P::Form),
        (format!("* {}", SSH.replace("ssh-ed25519", "ssh-rsa")), P::Ssh),
        (format!("* {}", SSH.replace("AAAAC3", "AAAAC4")), P::Ssh),
        ("* ssh-ed25519 AAAAC3NzaC1lZDI1NTE5".to_owned(), P::Ssh),
        (format!("* {}", PGP.replace("0123456789abcdef", "0123456789abcdeg")), P::Fingerprint),
        (format!("* {PGP}89"), P::Fingerprint),
        ("* vkey a\u{7}b".to_owned(), P::Text),
    ] {
        assert_eq!(problem(&text), expected, "{text}");
    }
    let at = TrustFile::parse(format!("# x\n\n* {SSH}\n* {PGP}0\n").as_bytes()).unwrap_err();
    assert_eq!(at.line, 4);
    assert_eq!(TrustFile::parse(b"* \xFF\n").unwrap_err().problem, P::Text);
    let large = vec![b'\n'; MAX_TRUST_BYTES + 1];
    assert_eq!(TrustFile::parse(&large).unwrap_err().problem, P::TooLarge);
}

proptest! {
    #[test]
    fn any_bytes_are_a_trust_file_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        text in "([a-c*!,\"]{1,5} )((valid-after|namespaces)=\"?[0-9a,]{0,8}\"?,? )?(vkey|ssh-ed25519|openpgp)? ?[A-Z+0-9]{0,12}\n",
    ) {
        let _ = TrustFile::parse(&bytes);
        let _ = TrustFile::parse(text.as_bytes());
    }

    #[test]
    fn entries_come_back(
        principals in "[a-z@.*? ]{1,9}(,!?[a-z@.*? ]{1,9}){0,2}",
        after in prop::option::of(0..=253_402_300_799i64),
        before in prop::option::of(0..=253_402_300_799i64),
        namespaces in prop::option::of("[a-z*]{1,9}(,!?[a-z*]{1,9}){0,2}"),
        kind in 0..3usize,
    ) {
        let seconds = |seconds| EventTime::from_unix_millis(seconds * 1_000).unwrap();
        let keys = [format!("vkey {VKEY}"), SSH.to_owned(), PGP.to_owned()];
        let key = read(&format!("* {}", keys[kind])).entries()[0].key.clone();
        let entry = TrustEntry {
            line: 1,
            principals: principals.parse().unwrap(),
            valid_after: after.map(seconds),
            valid_before: before.map(seconds),
            namespaces: namespaces.map(|text| text.parse().unwrap()),
            key,
        };
        let again = read(&entry.to_string());
        prop_assert_eq!(again.entries(), &[entry]);
    }
}
