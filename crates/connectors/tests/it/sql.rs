//! SQL on both PostgreSQL servers and on SQLite: the same questions, changes and fences.

use std::time::Duration;

use carnet_connect::{SqlChange, SqlFence, SqlSession, SqlStatement, SqlValue, StoreError};
use carnet_connectors::open_sql;
use carnet_model::Code;

use crate::postgres::{Database, SERVERS};

const LIMIT: Duration = Duration::from_secs(20);

/// A database with a table `accounts (id, owner, balance)` and two rows.
struct Bank {
    url: String,
    /// Which kind, for messages.
    kind: &'static str,
    _server: Option<Database>,
    _folder: Option<tempfile::TempDir>,
}

const TABLE: &str = "CREATE TABLE accounts (id integer PRIMARY KEY, owner text, balance integer, \
                     open boolean, rate numeric)";
const ROWS: &str =
    "INSERT INTO accounts VALUES (1, 'ann', 100, true, 0.5), (2, null, -7, false, 1.25)";

fn banks() -> Vec<Bank> {
    let mut banks = Vec::new();
    for kind in SERVERS {
        let database = Database::new(kind);
        database.run(TABLE);
        database.run(ROWS);
        let url = database.url.clone();
        banks.push(Bank { url, kind, _server: Some(database), _folder: None });
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bank.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch(&format!("{TABLE}; {ROWS};")).unwrap();
    let url = format!("sqlite:{}", file.display());
    banks.push(Bank { url, kind: "sqlite", _server: None, _folder: Some(folder) });
    banks
}

impl Bank {
    fn session(&self) -> Box<dyn SqlSession> {
        open_sql(&self.url, None).unwrap()
    }

    fn ask(&self, sql: &str) -> Vec<Vec<SqlValue>> {
        let found = self.session().query(&statement(sql, &[]), 100, LIMIT);
        found.unwrap_or_else(|error| panic!("{}: {sql}: {error:?}", self.kind)).rows
    }

    fn balance(&self) -> SqlValue {
        self.ask("SELECT balance FROM accounts WHERE id = 1")[0][0].clone()
    }
}

fn statement(sql: &str, parameters: &[SqlValue]) -> SqlStatement {
    SqlStatement { sql: sql.to_owned(), parameters: parameters.to_vec() }
}

fn change(key: &str, generation: u64, statements: &[&str]) -> SqlChange {
    SqlChange {
        key: key.to_owned(),
        statements: statements.iter().map(|sql| statement(sql, &[])).collect(),
        fence: SqlFence { name: "log".to_owned(), generation },
        limit: LIMIT,
    }
}

fn code<T>(done: Result<T, StoreError>) -> Option<Code> {
    done.err().map(|error| error.code())
}

#[test]
fn questions_have_typed_answers_within_limits() {
    for bank in banks() {
        let mut session = bank.session();
        let sql = "SELECT id, owner, balance, rate FROM accounts WHERE id >= $1 ORDER BY id -- all";
        let asked = statement(sql, &[SqlValue::Integer(1)]);
        let found = session.query(&asked, 10, LIMIT).unwrap();
        assert_eq!(found.columns, ["id", "owner", "balance", "rate"], "{}", bank.kind);
        assert!(!found.cut);
        let text = |text: &str| SqlValue::Text(text.to_owned());
        let (one, two) = (SqlValue::Integer(1), SqlValue::Integer(2));
        assert_eq!(found.rows[0], [one, text("ann"), SqlValue::Integer(100), text("0.5")]);
        assert_eq!(found.rows[1], [two, SqlValue::Null, SqlValue::Integer(-7), text("1.25")]);
        let found = session.query(&asked, 1, LIMIT).unwrap();
        assert_eq!((found.rows.len(), found.cut), (1, true), "{}", bank.kind);
        // An answer of nothing is one, with its columns.
        let none = session.query(&statement("SELECT id FROM accounts WHERE id = 9", &[]), 5, LIMIT);
        let none = none.unwrap();
        assert_eq!((none.rows.len(), none.columns), (0, vec!["id".to_owned()]), "{}", bank.kind);
    }
}

#[test]
fn a_question_changes_nothing_and_is_one_statement() {
    for bank in banks() {
        for sql in [
            "UPDATE accounts SET balance = 0",
            "DELETE FROM accounts",
            "CREATE TABLE t (a integer)",
            "SELECT 1; DELETE FROM accounts",
        ] {
            let done = bank.session().query(&statement(sql, &[]), 10, LIMIT);
            assert!(done.is_err(), "{}: {sql}", bank.kind);
        }
        assert_eq!(bank.ask("SELECT count(*) FROM accounts"), [[SqlValue::Integer(2)]]);
        assert_eq!(bank.balance(), SqlValue::Integer(100), "{}", bank.kind);
    }
}

#[test]
fn a_change_is_made_once_for_each_key_and_taken_back_once() {
    for bank in banks() {
        let more = change("run/a/1", 1, &["UPDATE accounts SET balance = balance + 5"]);
        let less = change("run/a/1", 1, &["UPDATE accounts SET balance = balance - 5"]);
        assert!(!bank.session().is_changed("run/a/1").unwrap());
        // What was never made cannot be taken back: the statements are not run.
        assert!(!bank.session().take_back(&less).unwrap());
        assert_eq!(bank.balance(), SqlValue::Integer(100), "{}", bank.kind);
        assert_eq!(bank.session().change(&more).unwrap(), Some(vec![2]), "{}", bank.kind);
        assert_eq!(bank.session().change(&more).unwrap(), None);
        assert!(bank.session().is_changed("run/a/1").unwrap());
        assert_eq!(bank.balance(), SqlValue::Integer(105), "{}", bank.kind);
        assert!(bank.session().take_back(&less).unwrap());
        assert!(!bank.session().take_back(&less).unwrap());
        assert_eq!(bank.balance(), SqlValue::Integer(100), "{}", bank.kind);
        assert!(!bank.session().is_changed("run/a/1").unwrap());
        // And may then be made again.
        assert_eq!(bank.session().change(&more).unwrap(), Some(vec![2]), "{}", bank.kind);
    }
}

#[test]
fn parameters_take_the_types_of_their_places() {
    for bank in banks() {
        let mut made = change("k", 1, &[]);
        made.statements = vec![statement(
            "INSERT INTO accounts (id, owner, balance, open) VALUES ($1, $2, $3, $4)",
            &[
                SqlValue::Integer(3),
                SqlValue::Text("o'brien \\ 日本".to_owned()),
                SqlValue::Null,
                SqlValue::Bool(true),
            ],
        )];
        assert_eq!(bank.session().change(&made).unwrap(), Some(vec![1]), "{}", bank.kind);
        let found = bank.ask("SELECT owner, balance FROM accounts WHERE id = 3");
        assert_eq!(found[0], [SqlValue::Text("o'brien \\ 日本".to_owned()), SqlValue::Null]);
        let open = bank.ask("SELECT count(*) FROM accounts WHERE open = true");
        assert_eq!(open, [[SqlValue::Integer(2)]], "{}", bank.kind);
        // One parameter too few or too many is refused.
        made.key = "other".to_owned();
        made.statements[0].parameters.pop();
        assert!(bank.session().change(&made).is_err(), "{}", bank.kind);
    }
}

#[test]
fn a_statement_that_fails_takes_all_with_it() {
    for bank in banks() {
        let made = change(
            "k",
            1,
            &["UPDATE accounts SET balance = 0", "INSERT INTO accounts (id) VALUES (1)"],
        );
        assert!(bank.session().change(&made).is_err(), "{}", bank.kind);
        assert_eq!(bank.balance(), SqlValue::Integer(100), "{}", bank.kind);
        assert!(!bank.session().is_changed("k").unwrap(), "{}", bank.kind);
    }
}

#[test]
fn an_older_writer_is_refused_for_ever() {
    for bank in banks() {
        let with = |key: &str, generation| {
            change(key, generation, &["UPDATE accounts SET balance = balance + 1"])
        };
        assert!(bank.session().change(&with("a", 7)).unwrap().is_some());
        for old in [0, 6] {
            let refused = bank.session().change(&with("b", old));
            assert_eq!(code(refused), Some(Code::RUN_FENCED), "{} {old}", bank.kind);
            let refused = bank.session().take_back(&with("a", old));
            assert_eq!(code(refused), Some(Code::RUN_FENCED), "{} {old}", bank.kind);
        }
        assert_eq!(bank.balance(), SqlValue::Integer(101), "{}", bank.kind);
        // The same generation goes on, and so does a newer one.
        assert!(bank.session().change(&with("c", 7)).unwrap().is_some());
        assert!(bank.session().change(&with("d", 8)).unwrap().is_some());
        // Logs do not fence one another.
        let mut other = with("e", 1);
        other.fence.name = "another log".to_owned();
        assert!(bank.session().change(&other).unwrap().is_some(), "{}", bank.kind);
    }
}

/// Many at once: each key is made exactly once, and nobody meets a table that is half made.
#[test]
fn racing_writers_make_a_change_once() {
    for bank in banks() {
        let made = change("race", 1, &["UPDATE accounts SET balance = balance + 1 WHERE id = 1"]);
        let won = std::thread::scope(|scope| {
            let race = || open_sql(&bank.url, None).unwrap().change(&made).unwrap();
            let all: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
            all.into_iter().filter_map(|one| one.join().unwrap()).count()
        });
        assert_eq!(won, 1, "{}", bank.kind);
        assert_eq!(bank.balance(), SqlValue::Integer(101), "{}", bank.kind);
    }
}

#[test]
fn a_statement_that_ends_the_transaction_is_noticed() {
    for bank in banks() {
        let made = change("k", 1, &["UPDATE accounts SET balance = 1", "/* sly */ COMMIT"]);
        let done = bank.session().change(&made);
        assert!(done.is_err(), "{}: {done:?}", bank.kind);
        assert_eq!(code(done), Some(Code::RUN_UNKNOWN), "{}", bank.kind);
    }
}

#[test]
fn what_takes_too_long_is_ended() {
    for bank in banks() {
        let endless = if bank.kind == "sqlite" {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        } else {
            "SELECT 1 FROM pg_sleep(60)"
        };
        let limit = Duration::from_millis(300);
        let asked = bank.session().query(&statement(endless, &[]), 1, limit);
        assert_eq!(code(asked), Some(Code::STORE_BUSY), "{}", bank.kind);
        let mut made = change("k", 1, &["UPDATE accounts SET balance = 1", endless]);
        made.limit = limit;
        assert_eq!(code(bank.session().change(&made)), Some(Code::STORE_BUSY), "{}", bank.kind);
        assert_eq!(bank.balance(), SqlValue::Integer(100), "{}", bank.kind);
    }
}

#[test]
fn what_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.db");
    let url = format!("sqlite:{}", file.display());
    assert_eq!(code(open_sql(&url, None)), Some(Code::STORE_NOT_FOUND));
    assert!(!file.exists());
    assert_eq!(code(open_sql("faiss:x", None)), Some(Code::STORE_URL));
    let nowhere = open_sql("postgres://me:s3cr3t@127.0.0.1:1/d", None).map(|_| ()).unwrap_err();
    assert_eq!(nowhere.code(), Code::STORE_UNREACHABLE);
    assert!(!format!("{nowhere:?}").contains("s3cr3t"));
}
