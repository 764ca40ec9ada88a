//! Tables that others made: their layouts, their columns, their order, and what is refused.

use carnet_connect::{
    IdRange, LoadMode, LoadRequest, NoProgress, RecordRef, Records, StoreError, VectorRepository,
    batches,
};
use carnet_connectors::OpenOptions;
use carnet_model::{Code, CollectionContract, CollectionName, ColumnMap, TableLayout};

use super::postgres::{Database, SERVERS};

fn name(text: &str) -> CollectionName {
    CollectionName::new(text).unwrap()
}

fn columns(id: &str, vector: &str) -> ColumnMap {
    ColumnMap {
        id: id.to_owned(),
        vector: vector.to_owned(),
        metadata: None,
        version: None,
        source_hash: None,
        created_ts: None,
        updated_ts: None,
    }
}

fn options(layout: TableLayout) -> OpenOptions {
    OpenOptions { layout, ..OpenOptions::default() }
}

/// Id, vector and metadata of every record, range by range.
type Row = (String, Vec<f32>, String);

fn content(store: &dyn VectorRepository, collection: &str) -> Result<Vec<Row>, StoreError> {
    let view = store.snapshot()?;
    let collection = name(collection);
    let mut rows = Vec::new();
    for range in view.ranges(&collection, 3)? {
        let mut stream = view.scan(&collection, &range)?;
        while let Some(batch) = stream.next()? {
            for record in batch.iter() {
                assert!(range.contains(record.id), "{} in {range}", record.id);
                rows.push((
                    record.id.to_owned(),
                    record.vector.to_vec(),
                    record.metadata.to_owned(),
                ));
            }
        }
    }
    assert!(rows.is_sorted_by(|a, b| a.0 < b.0), "{rows:?}");
    let mut spans = Vec::new();
    for shard in view.shards(&collection, 2)? {
        let mut stream = view.scan_shard(&collection, &shard)?;
        while let Some(batch) = stream.next()? {
            spans.extend(batch.iter().map(|record| record.id.to_owned()));
        }
    }
    spans.sort_unstable();
    assert_eq!(spans, rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>());
    assert_eq!(view.describe(&collection)?.records, rows.len() as u64);
    Ok(rows)
}

fn record<'a>(id: &'a str, vector: &'a [f32], metadata: &'a str) -> RecordRef<'a> {
    RecordRef {
        id,
        vector,
        metadata,
        version: None,
        source_hash: None,
        created_ts: None,
        updated_ts: None,
    }
}

fn upsert(
    store: &dyn VectorRepository,
    collection: &str,
    records: &[RecordRef<'_>],
) -> Result<(), StoreError> {
    let dimensions = u32::try_from(records[0].vector.len()).unwrap();
    store.upsert(&name(collection), &Records::collect(dimensions, records.iter().copied())?)
}

const LANGCHAIN: &str = "
    CREATE TABLE langchain_pg_collection (uuid uuid PRIMARY KEY, name varchar UNIQUE NOT NULL, cmetadata json);
    CREATE TABLE langchain_pg_embedding (id varchar PRIMARY KEY,
        collection_id uuid REFERENCES langchain_pg_collection ON DELETE CASCADE,
        embedding vector, document varchar, cmetadata jsonb);
    INSERT INTO langchain_pg_collection VALUES
        ('11111111-1111-1111-1111-111111111111', 'docs', NULL),
        ('22222222-2222-2222-2222-222222222222', 'notes', '{}');
    INSERT INTO langchain_pg_embedding VALUES
        ('b', '11111111-1111-1111-1111-111111111111', '[1,2,3]', 'text b', '{\"page\": 2}'),
        ('B', '11111111-1111-1111-1111-111111111111', '[4,5,6]', NULL, NULL),
        ('n', '22222222-2222-2222-2222-222222222222', '[1,2]', 'note', '{}');";

#[test]
fn langchain_collections_are_read_and_written_one_by_one() {
    for server in SERVERS {
        let database = Database::new(server);
        database.run(LANGCHAIN);
        let store = database.store("", &options(TableLayout::LangChain));
        let seen = store.snapshot().unwrap().collections().unwrap();
        assert_eq!(seen, [name("docs"), name("notes")]);
        let docs = content(store.as_ref(), "docs").unwrap();
        let b = r#"{"_columns":{"document":"text b"},"page":2}"#;
        assert_eq!(docs[0], ("B".into(), vec![4.0, 5.0, 6.0], "{}".into()));
        assert_eq!(docs[1], ("b".into(), vec![1.0, 2.0, 3.0], b.into()));
        let new = r#"{"_columns":{"document":"new"},"page":7}"#;
        let more = [record("b", &[7.0, 8.0, 9.0], new), record("c", &[0.0, 0.0, 1.0], "{}")];
        upsert(store.as_ref(), "docs", &more).unwrap();
        let docs = content(store.as_ref(), "docs").unwrap();
        assert_eq!(docs[1], ("b".into(), vec![7.0, 8.0, 9.0], new.into()));
        assert_eq!(docs.len(), 3);
        assert_eq!(content(store.as_ref(), "notes").unwrap().len(), 1);
        // An id of the other collection is not taken over.
        let error = upsert(store.as_ref(), "docs", &[record("n", &[0.0; 3], "{}")]).unwrap_err();
        assert_eq!(error.code(), Code::IMPORT_CONFLICT, "{error}");
        assert_eq!(content(store.as_ref(), "notes").unwrap()[0].1, [1.0, 2.0]);
        assert_eq!(store.delete(&name("docs"), &["b", "n"]).unwrap(), 1);
        let one = database.store("notes", &options(TableLayout::LangChain));
        assert_eq!(one.snapshot().unwrap().collections().unwrap(), [name("notes")]);
    }
}

#[test]
fn llamaindex_tables_are_read_and_written() {
    for server in SERVERS {
        let database = Database::new(server);
        database.run(
            "CREATE TABLE data_docs (id bigserial PRIMARY KEY, text varchar NOT NULL, metadata_ json,
                node_id varchar, embedding vector(2));
             INSERT INTO data_docs (text, metadata_, node_id, embedding) VALUES
                ('one', '{\"n\": 9007199254740993}', 'n1', '[1,0]'), ('two', '{}', 'N2', '[0,1]');",
        );
        let store = database.store("docs", &options(TableLayout::LlamaIndex));
        let seen = content(store.as_ref(), "docs").unwrap();
        assert_eq!(seen[0].2, r#"{"_columns":{"id":2,"text":"two"}}"#);
        assert_eq!(seen[1].2, r#"{"_columns":{"id":1,"text":"one"},"n":9007199254740993}"#);
        let changed = r#"{"_columns":{"text":"uno"},"x":0.1}"#;
        upsert(store.as_ref(), "docs", &[record("n1", &[3.0, 4.0], changed)]).unwrap();
        let seen = content(store.as_ref(), "docs").unwrap();
        assert_eq!(seen.len(), 2);
        // The serial column gave the row a number of its own.
        assert_eq!(seen[1].2, r#"{"_columns":{"id":3,"text":"uno"},"x":0.1}"#);
    }
}

const TYPES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE TABLENAME (id bigint PRIMARY KEY, embedding vector(1), a_text text, b_int int, c_big bigint,
        d_num numeric, e_bool bool, f_real real, g_double double precision, h_time timestamptz,
        i_uuid uuid, j_json jsonb, k_bytes bytea, l_ints int[], m_nums numeric[], n_doubles float8[],
        o_mood mood, p_date date, q_vec vector(2), r_texts text[], s_ts timestamp, t_interval interval);";

#[test]
fn other_columns_travel_exactly_and_come_back() {
    for server in SERVERS {
        let database = Database::new(server);
        for table in ["source", "target"] {
            let sql = TYPES.replace("TABLENAME", table);
            let sql =
                if table == "target" { sql.split_once(';').unwrap().1.to_owned() } else { sql };
            database.run(&sql);
        }
        database.run(
            "INSERT INTO source VALUES (9, '[1]', E'q\"\\\\\\n é', -5, 9223372036854775807, 1.50, true, 0.1, 1e300,
                '2024-02-29 12:00:00.123456+02', '00000000-0000-0000-0000-00000000000a', '{\"b\": [1, null]}',
                '\\x00ff', '{1,NULL,3}', '{1.10,NaN}', '{-0,0.1,Infinity}', 'glad', '2024-01-31', '[0.1,-0]',
                '{\"a,b\",\"\\\"\"}', '2024-01-01 00:00:00.5', '1 day 02:03'),
             (10, '[2]', NULL, NULL, NULL, 12345678901234567890.123456789, NULL, '-0', '-0', NULL, NULL, NULL, NULL,
                '[2:3]={7,8}', NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL)",
        );
        let options = options(TableLayout::Columns(columns("id", "embedding")));
        let store = database.store("source,target", &options);
        let seen = content(store.as_ref(), "source").unwrap();
        // Byte order of the text: 10 before 9.
        assert_eq!((seen[0].0.as_str(), seen[1].0.as_str()), ("10", "9"));
        assert_eq!(
            seen[0].2,
            r#"{"_columns":{"d_num":"12345678901234567890.123456789","f_real":"-0","g_double":"-0","l_ints":"[2:3]={7,8}","r_texts":[]}}"#
        );
        for part in [
            r#""a_text":"q\"\\\n é""#,
            r#""c_big":9223372036854775807"#,
            r#""d_num":"1.50""#,
            r#""f_real":0.1,"#,
            r#""h_time":"2024-02-29T10:00:00.123456+00:00""#,
            r#""j_json":{"b":[1,null]}"#,
            r#""k_bytes":"\\x00ff""#,
            r#""l_ints":[1,null,3]"#,
            r#""m_nums":["1.10","NaN"]"#,
            r#""n_doubles":["-0","0.1","Infinity"]"#,
            r#""o_mood":"glad""#,
            r#""q_vec":"[0.1,-0]""#,
            r#""r_texts":["a,b","\""]"#,
            r#""s_ts":"2024-01-01T00:00:00.5""#,
        ] {
            assert!(seen[1].2.contains(part), "{part} in {}", seen[1].2);
        }
        let records: Vec<_> = seen.iter().map(|row| record(&row.0, &row.1, &row.2)).collect();
        upsert(store.as_ref(), "target", &records).unwrap();
        assert_eq!(content(store.as_ref(), "target").unwrap(), seen);
        let same = "SELECT count(*) FROM (SELECT s::text FROM source s EXCEPT SELECT t::text FROM target t) d";
        assert_eq!(database.client().query_one(same, &[]).unwrap().get::<_, i64>(0), 0);
        // What the table has no column for is refused, not dropped.
        let other = [record("11", &[1.0], r#"{"_columns":{"nowhere":1}}"#)];
        assert_eq!(upsert(store.as_ref(), "target", &other).unwrap_err().code(), Code::LOSS);
        for (id, metadata) in [("11", r#"{"a":1}"#), ("011", "{}")] {
            let error =
                upsert(store.as_ref(), "target", &[record(id, &[1.0], metadata)]).unwrap_err();
            assert_eq!(error.code(), Code::LOSS, "{error}");
        }
        assert_eq!(content(store.as_ref(), "target").unwrap().len(), 2);
    }
}

#[test]
fn a_column_without_a_form_is_refused_by_name_unless_it_is_dropped() {
    let database = Database::new(SERVERS[1]);
    database.run(
        "CREATE TABLE docs (id text PRIMARY KEY, embedding vector(1), place point); \
                  INSERT INTO docs VALUES ('a', '[1]', '(1,2)')",
    );
    let error =
        content(database.store("docs", &OpenOptions::default()).as_ref(), "docs").unwrap_err();
    assert_eq!(error.code(), Code::TABLE_UNMAPPED);
    assert!(error.to_string().contains("place"), "{error}");
    let drop = OpenOptions { drop: vec!["place".into()], ..OpenOptions::default() };
    assert_eq!(content(database.store("docs", &drop).as_ref(), "docs").unwrap()[0].2, "{}");
}

#[test]
fn order_is_by_bytes_whatever_the_tables_collation() {
    let mut ids = [
        "a",
        "B",
        "A",
        "b",
        "é",
        "z",
        "Z",
        "_",
        "-1",
        "1-",
        "10",
        "9",
        "ss",
        "ß",
        "\u{1F600}",
        "\u{FF61}",
    ];
    for server in SERVERS {
        let database = Database::new(server);
        database.run("CREATE TABLE docs (id text PRIMARY KEY, embedding vector(1)); \
                      CREATE TABLE parts (id text, embedding vector(1), PRIMARY KEY (id)) PARTITION BY HASH (id); \
                      CREATE TABLE part0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
                      CREATE TABLE part1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
                      CREATE VIEW seen AS SELECT * FROM docs; CREATE MATERIALIZED VIEW kept AS SELECT * FROM docs");
        let mut client = database.client();
        for id in ids {
            client.execute("INSERT INTO docs VALUES ($1, '[1]')", &[&id]).unwrap();
            client.execute("INSERT INTO parts VALUES ($1, '[1]')", &[&id]).unwrap();
        }
        client.batch_execute("REFRESH MATERIALIZED VIEW kept").unwrap();
        ids.sort_unstable();
        for table in ["docs", "parts", "seen", "kept"] {
            let store = database.store(table, &OpenOptions::default());
            let rows = content(store.as_ref(), table).unwrap();
            assert_eq!(rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ids, "{table}");
            let taken = upsert(store.as_ref(), table, &[record("new", &[1.0], "{}")]);
            match table {
                "docs" | "parts" => {
                    // There is no column for metadata, and none is needed for `{}`.
                    taken.unwrap();
                    assert_eq!(store.delete(&name(table), &["new"]).unwrap(), 1);
                }
                _ => assert_eq!(taken.unwrap_err().code(), Code::STORE_READ_ONLY),
            }
        }
    }
}

#[test]
fn half_precision_widens_exactly_and_narrows_only_when_it_is_exact() {
    for server in SERVERS {
        let database = Database::new(server);
        database.run(
            "CREATE TABLE docs (id text PRIMARY KEY, embedding halfvec(3)); \
                      INSERT INTO docs VALUES ('a', '[0.1,65504,-0]')",
        );
        let store = database.store("docs", &OpenOptions::default());
        let rows = content(store.as_ref(), "docs").unwrap();
        assert_eq!(rows[0].1[..2], [0.099_975_586, 65504.0]);
        assert!(rows[0].1[2] == 0.0 && rows[0].1[2].is_sign_negative());
        upsert(store.as_ref(), "docs", &[record("b", &[0.5, 1e-7, -2.0], "{}")]).unwrap_err();
        upsert(store.as_ref(), "docs", &[record("b", &[0.5, 0.25, -2.0], "{}")]).unwrap();
        let error =
            upsert(store.as_ref(), "docs", &[record("c", &[0.1, 0.0, 0.0], "{}")]).unwrap_err();
        assert_eq!(error.code(), Code::LOSS);
        assert!(error.to_string().contains("\"c\""), "{error}");
        assert_eq!(content(store.as_ref(), "docs").unwrap().len(), 2);
    }
}

/// What makes a table unusable, and the code and the word that say so.
const BAD: &[(&str, Code, &str)] = &[
    ("id text, embedding vector(1)", Code::TABLE_NO_KEY, "column id of table public.docs"),
    (
        "id text, part int, embedding vector(1), PRIMARY KEY (id, part)",
        Code::TABLE_NO_KEY,
        "column id of table public.docs",
    ),
    (
        "id text, embedding vector(1)); CREATE UNIQUE INDEX ON docs (id) WHERE id > 'b'; SELECT (1",
        Code::TABLE_NO_KEY,
        "column id of table public.docs",
    ),
    (
        "id text UNIQUE, embedding vector(1)); INSERT INTO docs VALUES (NULL,'[1]'",
        Code::RECORD_ID,
        "no id",
    ),
    (
        "id text UNIQUE, embedding vector(1)); INSERT INTO docs VALUES ('','[1]'",
        Code::RECORD_ID,
        "docs",
    ),
    (
        "id text PRIMARY KEY, embedding vector(1)); INSERT INTO docs VALUES ('x1', NULL",
        Code::RECORD_VECTOR,
        "x1",
    ),
    ("id text PRIMARY KEY, other vector(1)", Code::TABLE_COLUMN, "embedding"),
    (
        "id text PRIMARY KEY, embedding text",
        Code::TABLE_COLUMN,
        "type text; the vector needs vector",
    ),
    ("id text PRIMARY KEY, embedding real[]", Code::TABLE_COLUMN, "the type real[]; the vector"),
    (
        "id numeric(5) PRIMARY KEY, embedding vector(1)",
        Code::TABLE_COLUMN,
        "type numeric(5,0); the id needs text, varchar, smallint, integer, bigint, uuid",
    ),
    ("id date PRIMARY KEY, embedding vector(1)", Code::TABLE_COLUMN, "id"),
    ("id text PRIMARY KEY, embedding sparsevec(9)", Code::STORE_UNSUPPORTED, "sparsevec"),
    ("id text PRIMARY KEY, embedding bit(9)", Code::STORE_UNSUPPORTED, "bit"),
    (
        "id text PRIMARY KEY, embedding vector); INSERT INTO docs VALUES ('a','[1]'), ('b','[1,2]'",
        Code::RECORD_VECTOR,
        "1 and of 2",
    ),
    ("id text PRIMARY KEY, embedding vector", Code::STORE_UNSUPPORTED, "no dimensions"),
    (
        "id text PRIMARY KEY, embedding vector(1), metadata jsonb); INSERT INTO docs VALUES ('m1','[1]','[1]'",
        Code::METADATA_SYNTAX,
        "m1",
    ),
    (
        "id text PRIMARY KEY, embedding vector(1), metadata json); INSERT INTO docs VALUES ('m2','[1]','{\"a\":1,\"a\":2}'",
        Code::METADATA_DUPLICATE_KEY,
        "m2",
    ),
    (
        "id text PRIMARY KEY, embedding vector(1), metadata jsonb); INSERT INTO docs VALUES ('m3','[1]','{\"a\":0.1234567890123456789}'",
        Code::METADATA_NUMBER,
        "m3",
    ),
    (
        "id text PRIMARY KEY, embedding vector(1), created_ts timestamptz); INSERT INTO docs VALUES ('t1','[1]','infinity'",
        Code::RECORD_TIME,
        "t1",
    ),
    ("id text PRIMARY KEY, embedding vector(1), version text", Code::TABLE_COLUMN, "version"),
];

#[test]
fn what_is_not_a_record_is_refused_with_its_name() {
    for server in SERVERS {
        let database = Database::new(server);
        for (table, code, word) in BAD {
            database.run(&format!("DROP TABLE IF EXISTS docs; CREATE TABLE docs ({table})"));
            let store = database.store("docs", &OpenOptions::default());
            let Err(error) = content(store.as_ref(), "docs") else { panic!("{table} was read") };
            assert_eq!(error.code(), *code, "{table}: {error}");
            assert!(error.to_string().contains(word), "{table}: {error}");
        }
    }
}

#[test]
fn a_table_is_read_only_if_its_ids_are_declared_unique() {
    for server in SERVERS {
        let database = Database::new(server);
        database.run(
            "CREATE TABLE docs (id text, embedding vector(1)); \
                      INSERT INTO docs VALUES ('b','[1]'), ('a','[2]')",
        );
        let store = database.store("docs", &OpenOptions::default());
        let read = || content(store.as_ref(), "docs");
        let error = read().unwrap_err();
        assert_eq!(error.code(), Code::TABLE_NO_KEY, "{error}");
        let remedy = error.remedy_text().unwrap().split_once(": ").unwrap().1.to_owned();
        assert_eq!(store.fetch(&name("docs"), &["a"]).unwrap_err().code(), Code::TABLE_NO_KEY);
        let error = upsert(store.as_ref(), "docs", &[record("c", &[1.0], "{}")]).unwrap_err();
        assert_eq!(error.code(), Code::TABLE_NO_KEY);
        let request = LoadRequest {
            contract: CollectionContract::unknown(name("docs"), 1),
            mode: LoadMode::Upsert,
            token: "one".into(),
        };
        let Err(error) = store.begin_load(&request) else { panic!("begun") };
        assert_eq!(error.code(), Code::TABLE_NO_KEY);
        // A constraint that is checked at the end of a transaction is a key, too.
        let deferred = "ADD CONSTRAINT late UNIQUE (id) DEFERRABLE";
        database.run(&format!("ALTER TABLE docs {deferred}"));
        assert_eq!(read().unwrap().len(), 2);
        // And so is what the remedy says.
        database.run("ALTER TABLE docs DROP CONSTRAINT late");
        database.run(&remedy);
        assert_eq!(read().unwrap().len(), 2);
    }
}

#[test]
fn a_view_can_declare_no_key_and_its_ids_are_checked_as_they_are_read() {
    let database = Database::new(SERVERS[1]);
    database.run(
        "CREATE TABLE docs (n int PRIMARY KEY, id text, embedding vector(1)); \
                  INSERT INTO docs VALUES (1,'b','[1]'), (2,'a','[2]'); \
                  CREATE VIEW seen AS SELECT id, embedding FROM docs",
    );
    let store = database.store("seen", &OpenOptions::default());
    assert_eq!(content(store.as_ref(), "seen").unwrap().len(), 2);
    database.run("INSERT INTO docs VALUES (3,'a','[2]')");
    let error = content(store.as_ref(), "seen").unwrap_err();
    assert_eq!(error.code(), Code::RECORD_DUPLICATE, "{error}");
    assert!(error.to_string().contains("\"a\""), "{error}");
}

#[test]
fn a_foreign_table_is_never_replaced_and_takes_upsert_loads() {
    let database = Database::new(SERVERS[1]);
    database.run(
        "CREATE TABLE docs (id text PRIMARY KEY, embedding vector(1), metadata jsonb, note text); \
                  INSERT INTO docs VALUES ('a', '[1]', '{}', 'mine')",
    );
    let store = database.store("docs", &OpenOptions::default());
    let contract = CollectionContract::unknown(name("docs"), 1);
    let request = |mode| LoadRequest { contract: contract.clone(), mode, token: "one".into() };
    let Err(error) = store.begin_load(&request(LoadMode::Replace)) else { panic!("begun") };
    assert_eq!(error.code(), Code::STORE_UNSUPPORTED);
    assert_eq!(store.drop_collection(&name("docs")).unwrap_err().code(), Code::STORE_UNSUPPORTED);
    let load = store.begin_load(&request(LoadMode::Upsert)).unwrap();
    let records =
        Records::collect(1, [record("b", &[2.0], r#"{"_columns":{"note":"new"}}"#)]).unwrap();
    load.load_range(&IdRange::all(), &mut batches(vec![records])).unwrap();
    assert!(load.abandon().unwrap()[0].contains("docs"));
    load.commit(&NoProgress).unwrap();
    let rows = content(store.as_ref(), "docs").unwrap();
    assert_eq!(rows[0].2, r#"{"_columns":{"note":"mine"}}"#);
    assert_eq!(rows[1].2, r#"{"_columns":{"note":"new"}}"#);
    assert_eq!(rows.len(), 2);
}
