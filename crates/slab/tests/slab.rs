//! Slabs from outside: writing, walking, growth, faults, the nexus log's segments.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use myelin_error::Result;
use myelin_slab::tables::{HotCount, MultiQueue, MultiSlabSeqn, SafeKeyVal, SlabAbrv, SlabDict, StateSum};
use myelin_slab::{Faults, MIB, Options, OwnedScan, ReadTxn, Reads, Scan, Slab, Table, WriteCx, Writer, WriterConf};
use myelin_value::Value;

fn values(iter: myelin_slab::Iter<'_>) -> Vec<(String, String)> {
    let text = |byts: &[u8]| String::from_utf8_lossy(byts).into_owned();
    iter.map(|row| row.map(|(key, valu)| (text(key), text(valu))).expect("a row")).collect()
}

fn filled(dir: &Path, dup: bool, rows: &[(&str, &str)]) -> (Writer, Slab, Table) {
    let writer = Writer::start("test").expect("writer");
    let slab = Slab::open(&writer, &dir.join("a.lmdb"), Options::default()).expect("slab");
    let table = slab.table("rows", dup).expect("table");
    writer
        .run(|cx| rows.iter().try_for_each(|(key, valu)| cx.put(table, key.as_bytes(), valu.as_bytes())))
        .expect("puts");
    (writer, slab, table)
}

fn check(txn: &ReadTxn, table: Table, scan: Scan<'_>, want: &str) {
    let got: Vec<String> =
        values(txn.scan(table, scan).expect("scan")).into_iter().map(|(key, valu)| format!("{key}={valu}")).collect();
    assert_eq!(got.join(" "), want, "{scan:?}");
    // The same rows over the writer's own transaction and over a walk that owns its transaction.
    let slab = txn.slab();
    let mut owned = OwnedScan::new(Rc::new(slab.read().expect("txn")), table, scan).expect("scan");
    let mut count = 0;
    while owned.next_row().expect("row").is_some() {
        count += 1;
    }
    assert_eq!(count, got.len());
}

#[test]
fn walks_find_what_lies_between_their_bounds() {
    let dir = tempfile::tempdir().expect("dir");
    let rows = [("a", "1"), ("ab", "2"), ("ac", "3"), ("b", "4"), ("c", "5")];
    let (_writer, slab, table) = filled(dir.path(), false, &rows);
    let txn = slab.read_fresh().expect("txn");
    let all = "a=1 ab=2 ac=3 b=4 c=5";
    check(&txn, table, Scan::All, all);
    check(&txn, table, Scan::AllRev, "c=5 b=4 ac=3 ab=2 a=1");
    check(&txn, table, Scan::Prefix(b""), all);
    check(&txn, table, Scan::Prefix(b"a"), "a=1 ab=2 ac=3");
    check(&txn, table, Scan::PrefixRev(b"a"), "ac=3 ab=2 a=1");
    check(&txn, table, Scan::PrefixRev(b"c"), "c=5");
    check(&txn, table, Scan::PrefixRev(b"\xff"), "");
    check(&txn, table, Scan::Range(b"ab", Some(b"b")), "ab=2 ac=3 b=4");
    check(&txn, table, Scan::Range(b"aa", None), "ab=2 ac=3 b=4 c=5");
    check(&txn, table, Scan::RangeRev(b"b", Some(b"ab")), "b=4 ac=3 ab=2");
    check(&txn, table, Scan::RangeRev(b"bz", None), "b=4 ac=3 ab=2 a=1");
    check(&txn, table, Scan::RangeRev(b"z", Some(b"b")), "c=5 b=4");
    check(&txn, table, Scan::PrefixFrom(b"ab", b"a"), "ab=2 ac=3");
    check(&txn, table, Scan::PrefixFromRev(b"abz", b"a"), "ab=2 a=1");
    check(&txn, table, Scan::Dups(b"a"), "a=1");
    check(&txn, table, Scan::DupsRange(b"a", b"2", None), "");
    assert_eq!(txn.entries(table).expect("entries"), 5);
    assert_eq!(txn.count_prefix(table, b"a").expect("count"), 3);
}

#[test]
fn walks_go_through_the_values_of_a_key() {
    let dir = tempfile::tempdir().expect("dir");
    let rows = [("a", "1"), ("a", "12"), ("a", "2"), ("a", "3"), ("b", "4"), ("c", "5"), ("c", "6")];
    let (writer, slab, table) = filled(dir.path(), true, &rows);
    let txn = slab.read_fresh().expect("txn");
    check(&txn, table, Scan::Dups(b"a"), "a=1 a=12 a=2 a=3");
    check(&txn, table, Scan::DupsRev(b"a"), "a=3 a=2 a=12 a=1");
    check(&txn, table, Scan::DupsRev(b"b"), "b=4");
    check(&txn, table, Scan::DupsPrefix(b"a", b"1"), "a=1 a=12");
    check(&txn, table, Scan::DupsRange(b"a", b"11", Some(b"2")), "a=12 a=2");
    check(&txn, table, Scan::DupsRange(b"b", b"1", Some(b"4")), "b=4");
    check(&txn, table, Scan::DupsRange(b"b", b"5", None), "");
    check(&txn, table, Scan::DupsRangeRev(b"a", b"2", Some(b"12")), "a=2 a=12");
    check(&txn, table, Scan::DupsRangeRev(b"a", b"9", None), "a=3 a=2 a=12 a=1");
    check(&txn, table, Scan::DupsRangeRev(b"a", b"0", None), "");
    check(&txn, table, Scan::DupsRangeRev(b"b", b"9", None), "b=4");
    check(&txn, table, Scan::KeysPrefix(b""), "a=1 b=4 c=5");
    check(&txn, table, Scan::RangeRev(b"b", None), "b=4 a=3 a=2 a=12 a=1");
    check(&txn, table, Scan::RangeRev(b"c", Some(b"b")), "c=6 c=5 b=4");
    assert_eq!(txn.count_prefix(table, b"").expect("count"), 7);
    assert_eq!(txn.dup_count(table, b"a").expect("count"), 4);
    assert_eq!(txn.dup_count(table, b"b").expect("count"), 1);
    assert!(txn.has_dup(table, b"a", b"12").expect("has") && !txn.has_dup(table, b"a", b"13").expect("has"));
    writer.run(|cx| cx.del_dup(table, b"a", b"12").map(|gone| assert!(gone))).expect("del");
    assert!(txn.has_dup(table, b"a", b"12").expect("has"), "a snapshot does not change");
    assert!(!slab.read_fresh().expect("txn").has_dup(table, b"a", b"12").expect("has"));
}

#[test]
fn a_map_that_is_full_grows_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let writer = Writer::start("test").expect("writer");
    let opts = Options { map_size: MIB, growsize: Some(MIB), ..Options::default() };
    let slab = Slab::open(&writer, &dir.path().join("a.lmdb"), opts).expect("slab");
    let table = slab.table("rows", false).expect("table");
    writer
        .run(|cx| (0..20_000u32).try_for_each(|numb| cx.put(table, &numb.to_be_bytes(), &[7; 300])))
        .expect("20 000 rows of 300 bytes fit after growth");
    let txn = slab.read_fresh().expect("txn");
    assert_eq!(txn.entries(table).expect("entries"), 20_000);
    assert!(
        txn.iter(table)
            .expect("iter")
            .enumerate()
            .all(|(numb, row)| row.expect("row").0 == (numb as u32).to_be_bytes())
    );
}

#[test]
fn at_its_cap_a_slab_refuses_and_keeps_what_fitted() {
    let dir = tempfile::tempdir().expect("dir");
    let writer = Writer::start("test").expect("writer");
    let opts = Options { map_size: MIB, maxsize: Some(2 * MIB), ..Options::default() };
    let slab = Slab::open(&writer, &dir.path().join("a.lmdb"), opts).expect("slab");
    let table = slab.table("rows", false).expect("table");
    let put = |numb: u32| writer.run(|cx| cx.put(table, &numb.to_be_bytes(), &[7; 300]));
    let (stored, error) = (0..).find_map(|numb| put(numb).err().map(|error| (numb, error))).expect("an error");
    assert!(error.is("DbOutOfSpace"), "{error}");
    assert!(stored > 1000);
    let kept = slab.read_fresh().map(|txn| txn.entries(table).expect("entries"));
    assert!(kept.is_ok_and(|kept| kept == u64::from(stored)) || slab.read().is_ok());
}

#[test]
fn a_directory_opens_once_and_damage_is_named() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("a.lmdb");
    let writer = Writer::start("test").expect("writer");
    let slab = Slab::open(&writer, &path, Options::small()).expect("slab");
    assert!(Slab::open(&writer, &path, Options::small()).is_err_and(|error| error.is("SlabAlreadyOpen")));
    let table = slab.table("rows", false).expect("table");
    writer.run(|cx| cx.put(table, b"a", b"1")).expect("put");
    slab.fini().expect("fini");
    drop(slab);
    assert_eq!(std::fs::read_to_string(dir.path().join("a.opts.yaml")).expect("opts"), "--- {}\n...\n");
    let slab = Slab::open(&writer, &path, Options::small()).expect("reopened");
    let table = slab.table("rows", false).expect("table");
    assert_eq!(slab.read().expect("txn").get(table, b"a").expect("get"), Some(&b"1"[..]));
    slab.fini().expect("fini");
    drop(slab);
    std::fs::write(path.join("data.mdb"), vec![b'x'; 8192]).expect("damage");
    let error = Slab::open(&writer, &path, Options::small()).err().expect("an error");
    assert!(error.is("BadCoreStore") && error.message().contains("data.mdb"), "{error}");
}

/// A kill right after a rotation leaves a new segment in which nothing is written: no entry is lost by that.
#[test]
fn a_log_survives_a_rotation_that_was_cut_off() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("nexuslog");
    let writer = Writer::start("test").expect("writer");
    let log = MultiSlabSeqn::open(&writer, &path, Options::log()).expect("log");
    (0..10u64).for_each(|numb| writer.run(|cx| log.put(cx, numb, &numb.to_be_bytes())).expect("put"));
    writer.fini().expect("fini");
    drop(log);
    std::fs::create_dir(path.join("seqn000000000000000a.lmdb")).expect("made");
    let writer = Writer::start("test").expect("writer");
    let log = MultiSlabSeqn::open(&writer, &path, Options::log()).expect("log");
    assert_eq!((log.first_offs(), log.next_offs()), (0, 10));
    assert_eq!(log.read(0).expect("read").len(), 10);
    writer.fini().expect("fini");
}

struct FailOnce(AtomicBool);

impl Faults for FailOnce {
    fn before_commit(&self, _: &Path) -> std::io::Result<()> {
        if self.0.swap(false, Ordering::SeqCst) { Err(std::io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }
}

#[test]
fn after_a_failed_commit_nothing_more_is_written() {
    let dir = tempfile::tempdir().expect("dir");
    let faults = Arc::new(FailOnce(AtomicBool::new(false)));
    let conf = WriterConf { commit_period_ms: 60_000, durable: false, faults: Some(faults.clone()) };
    let writer = Writer::with_conf("test", conf).expect("writer");
    let slab = Slab::open(&writer, &dir.path().join("a.lmdb"), Options::default()).expect("slab");
    let table = slab.table("rows", false).expect("table");
    writer.run(|cx| cx.put(table, b"a", b"1")).expect("put");
    slab.commit().expect("commit");
    faults.0.store(true, Ordering::SeqCst);
    writer.run(|cx| cx.put(table, b"b", b"2")).expect("put");
    assert!(slab.commit().is_err_and(|error| error.is("DbOutOfSpace")));
    assert!(writer.run(|cx| cx.put(table, b"c", b"3")).is_err_and(|error| error.is("DbOutOfSpace")));
    assert_eq!(slab.read().expect("txn").entries(table).expect("entries"), 1);
    writer.fini().expect("fini");
    assert!(writer.run(|_| Ok(())).is_err_and(|error| error.is("IsFini")));
}

#[test]
fn a_job_that_panics_costs_only_itself() {
    let writer = Writer::start("test").expect("writer");
    let error = writer.run(|_| -> Result<()> { panic!("woot") }).expect_err("an error");
    assert!(error.is("SynErr") && error.message().contains("woot"));
    assert_eq!(writer.run(|_| Ok(7)).expect("seven"), 7);
}

#[test]
fn threads_that_borrow_the_writer_and_threads_that_queue_write_one_after_another() {
    let dir = tempfile::tempdir().expect("dir");
    let conf = WriterConf { commit_period_ms: 1, ..WriterConf::default() };
    let writer = Writer::with_conf("test", conf).expect("writer");
    let opts = Options { map_size: MIB, growsize: Some(MIB), ..Options::default() };
    let slab = Slab::open(&writer, &dir.path().join("a.lmdb"), opts).expect("slab");
    let table = slab.table("rows", false).expect("table");
    // A number that is read and written back: any two at once would lose one, and so would growth on the wrong thread.
    let add = |cx: &mut WriteCx, numb: u32| {
        let have = cx.get(table, b"count")?.map_or(0, |byts| u32::from_be_bytes(byts.try_into().expect("four bytes")));
        cx.put(table, b"count", &(have + 1).to_be_bytes())?;
        cx.put(table, &numb.to_be_bytes(), &[7; 300])
    };
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let (writer, slab) = (&writer, &slab);
            scope.spawn(move || {
                for numb in 0..2_000u32 {
                    let numb = thread * 2_000 + numb;
                    match numb % 7 {
                        0 => writer.run(|cx| add(cx, numb)).expect("run"),
                        1 => writer
                            .run(|cx| {
                                cx.ack_after_commit();
                                add(cx, numb)
                            })
                            .expect("run"),
                        2 => {
                            writer
                                .run_here(|cx| {
                                    assert!(writer.is_writer_thread());
                                    add(cx, numb)?;
                                    cx.commit(slab)
                                })
                                .expect("run here");
                            assert!(!writer.is_writer_thread());
                        }
                        _ => writer.run_here(|cx| add(cx, numb)).expect("run here"),
                    }
                }
            });
        }
    });
    // The writer's thread, which wanted the context now and then, leaves it to others again.
    let here = std::thread::current().id();
    let lent = || writer.run_here(|_| Ok(std::thread::current().id() == here)).expect("run here");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !lent() {
        assert!(std::time::Instant::now() < until, "the context is never lent again");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let error = writer.run_here(|_| -> Result<()> { panic!("woot") }).expect_err("an error");
    assert!(error.message().contains("woot") && !writer.is_writer_thread());
    writer.run_here(|cx| cx.put(table, b"last", b"1")).expect("put");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while slab.is_dirty() && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let txn = slab.read().expect("what a borrower wrote is committed in time");
    assert_eq!(txn.get(table, b"last").expect("get"), Some(&b"1"[..]));
    assert_eq!(txn.entries(table).expect("entries"), 8_002);
    assert_eq!(txn.get(table, b"count").expect("get"), Some(&8_000u32.to_be_bytes()[..]));
    drop(txn);
    writer.fini().expect("fini");
    assert!(writer.run_here(|_| Ok(())).is_err_and(|error| error.is("IsFini")));
}

#[test]
fn table_kinds_survive_a_restart() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("a.lmdb");
    for round in 0..2 {
        let writer = Writer::start("test").expect("writer");
        let slab = Slab::open(&writer, &path, Options::default()).expect("slab");
        let abrv = SlabAbrv::open(&slab, "abrv").expect("abrv");
        let dict = SlabDict::open(&slab, "dict", b"pre:").expect("dict");
        let keyv = SafeKeyVal::open(&slab, "kv").expect("kv").sub("user:");
        let hot = HotCount::open(&slab, "hot").expect("hot");
        let queue = MultiQueue::open(&slab, "queue", MultiQueue::reqids(&slab).expect("ids")).expect("queue");
        if round == 0 {
            writer
                .run(|cx| {
                    assert_eq!(abrv.set(cx, b"b")?, 0u64.to_be_bytes());
                    assert_eq!(abrv.set(cx, b"a")?, 1u64.to_be_bytes());
                    dict.set(cx, "a", &Value::from(1))?;
                    keyv.set(cx, "root", &Value::from("x"))?;
                    hot.inc(cx, "n", 3)?;
                    queue.add(cx, "q", &Value::from("info"))?;
                    let items = [Value::from(1), Value::from(2), Value::from(3)];
                    assert_eq!(queue.puts(cx, "q", &items, Some(Value::from(7)))?, 0);
                    assert_eq!(
                        queue.puts(cx, "q", &items, Some(Value::from(7)))?,
                        3,
                        "a repeated request writes nothing"
                    );
                    queue.cull(cx, "q", 0)
                })
                .expect("writes");
        }
        assert_eq!(abrv.get(b"a"), Some(1u64.to_be_bytes()));
        assert_eq!(abrv.name_of(0u64.to_be_bytes()).as_deref(), Some(&b"b"[..]));
        assert_eq!(dict.get("a"), Some(Value::from(1)));
        assert_eq!(hot.get("n"), 3);
        let txn = slab.read_fresh().expect("txn");
        assert_eq!(keyv.get(&txn, "root").expect("get"), Some(Value::from("x")));
        assert_eq!((queue.size("q"), queue.next_offs("q")), (2, 3));
        assert_eq!(queue.get(&txn, "q", 0).expect("get"), Some((1, Value::from(2))));
        drop(txn);
        writer.fini().expect("fini");
    }
}

#[test]
fn counts_outlive_who_counted() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("a.lmdb");
    for round in 0..2 {
        let writer = Writer::start("test").expect("writer");
        let slab = Slab::open(&writer, &path, Options::default()).expect("slab");
        let hot = HotCount::open(&slab, "hot").expect("hot");
        let sum = writer.run(|cx| StateSum::open_in(cx, &slab, round == 0)).expect("sum");
        if round == 0 {
            let add = |cx: &mut WriteCx| {
                cx.track_applied(&slab, Some(0));
                hot.inc(cx, "n", 3)?;
                sum.add(cx, 7)
            };
            writer.run(add).expect("writes");
        } else {
            assert_eq!(hot.get("n"), 3);
            assert_eq!(StateSum::stored(&slab).expect("read"), Some(7));
        }
        drop((hot, sum));
        writer.fini().expect("fini");
    }
}

#[test]
fn a_log_rotates_and_culls() {
    let dir = tempfile::tempdir().expect("dir");
    let writer = Writer::start("test").expect("writer");
    let log = MultiSlabSeqn::open(&writer, &dir.path().join("nexuslog"), Options::log()).expect("log");
    let add = |numb: u64| writer.run(|cx| log.put(cx, numb, &numb.to_be_bytes())).expect("put");
    (0..10).for_each(add);
    assert_eq!(writer.run(|cx| log.rotate(cx)).expect("rotate"), 10);
    assert_eq!(writer.run(|cx| log.rotate(cx)).expect("rotate"), 10, "an empty tail is not closed");
    (10..15).for_each(add);
    assert_eq!(
        log.read(8).expect("read").iter().map(|(offs, _)| *offs).collect::<Vec<_>>(),
        (8..15).collect::<Vec<_>>()
    );
    assert!(!writer.run(|cx| log.cull(cx, 14)).expect("cull"), "one entry stays");
    assert!(writer.run(|cx| log.cull(cx, 11)).expect("cull"));
    assert_eq!((log.first_offs(), log.next_offs()), (12, 15));
    assert!(!dir.path().join("nexuslog/seqn0000000000000000.lmdb").exists());
    assert_eq!(log.read(0).expect("read").len(), 3);
    writer.fini().expect("fini");
    drop(log);
    let writer = Writer::start("test").expect("writer");
    let log = MultiSlabSeqn::open(&writer, &dir.path().join("nexuslog"), Options::log()).expect("log");
    assert_eq!((log.first_offs(), log.next_offs()), (12, 15));
    writer.fini().expect("fini");
}

#[test]
fn a_copy_is_of_the_moment_it_was_begun() {
    let dir = tempfile::tempdir().expect("dir");
    let (writer, slab, table) = filled(dir.path(), false, &[("a", "1")]);
    let big = vec![9; 50_000];
    let fill = |range: std::ops::Range<u32>, byte: u8| {
        let valu = vec![byte; 700];
        writer.run(|cx| range.clone().try_for_each(|numb| cx.put(table, &numb.to_be_bytes(), &valu))).expect("puts");
    };
    fill(0..3000, 1);
    writer.run(|cx| cx.put(table, b"big", &big)).expect("put");
    slab.commit().expect("commit");
    writer.run(|cx| (0..1500u32).try_for_each(|numb| cx.del(table, &numb.to_be_bytes()).map(drop))).expect("deletes");
    let begin = std::time::Instant::now();
    let copy = writer.run(|cx| cx.commit_all().and_then(|()| slab.begin_copy())).expect("begun");
    assert!(begin.elapsed().as_millis() < 500);
    // Everything is overwritten, several times, before the copy is made.
    for round in 2..6 {
        fill(0..4000, round);
        slab.commit().expect("commit");
    }
    let target = dir.path().join("copy.lmdb");
    let mut wrote = 0;
    let size = copy.size();
    copy.finish(&target, |byts| {
        wrote += byts;
        Ok(())
    })
    .expect("copied");
    assert!(wrote > 0 && wrote <= size);
    let found = myelin_slab::check_file(&target).expect("checked");
    assert!(found.damage.is_empty() && found.rows == 1502, "{found:?}");
    let copied = Slab::open_readonly(&target).expect("opened");
    let table = copied.find_table("rows").expect("table").expect("there");
    let txn = copied.read().expect("txn");
    assert_eq!(txn.entries(table).expect("entries"), 1502);
    assert_eq!(txn.get(table, &2000u32.to_be_bytes()).expect("get"), Some(&[1; 700][..]));
    assert_eq!(txn.get(table, b"big").expect("get"), Some(&big[..]));
    let live = myelin_slab::check_file(slab.path()).expect("checked");
    assert!(live.damage.is_empty(), "{live:?}");
    writer.fini().expect("fini");
}

#[test]
fn compaction_keeps_how_far_the_log_was_applied() {
    let dir = tempfile::tempdir().expect("dir");
    let (writer, slab, table) = filled(dir.path(), true, &[("a", "1"), ("a", "2")]);
    writer
        .run(|cx| {
            cx.track_applied(&slab, Some(7));
            cx.put(table, b"b", b"3")?;
            cx.commit_all()
        })
        .expect("tracked");
    writer.fini().expect("fini");
    drop(slab);
    let (from, into) = (dir.path().join("a.lmdb"), dir.path().join("b.lmdb"));
    Slab::compact_dir(&from, &into).expect("compacted");
    assert_eq!(Slab::open_readonly(&from).expect("opened").applied_at_open(), Some(7));
    assert_eq!(Slab::open_readonly(&into).expect("opened").applied_at_open(), Some(7));
    assert!(myelin_slab::check_file(&into).expect("checked").damage.is_empty());
}

#[test]
fn damaged_pages_are_found_without_a_fault() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().expect("dir");
    let (writer, slab, dups) = filled(dir.path(), true, &[("a", "1")]);
    let plain = slab.table("plain", false).expect("table");
    writer
        .run(|cx| {
            for numb in 0..5000u32 {
                cx.put(plain, &numb.to_be_bytes(), &[3; 100])?;
                cx.put(dups, b"many", &numb.to_be_bytes())?;
            }
            cx.put(plain, b"large", &[4; 20_000])
        })
        .expect("puts");
    writer.fini().expect("fini");
    drop(slab);
    let path = dir.path().join("a.lmdb");
    let sound = std::fs::read(path.join("data.mdb")).expect("read");
    let found = myelin_slab::check_file(&path).expect("checked");
    assert!(found.damage.is_empty() && found.rows == 10_002, "{found:?}");
    let used = found.used as usize / 4096;
    let mut caught = 0;
    let file = std::fs::File::options().write(true).open(path.join("data.mdb")).expect("opened");
    let pages = sound.len() / 4096;
    for page in 2..pages {
        file.write_all_at(&[0; 4096], page as u64 * 4096).expect("damage");
        let found = myelin_slab::check_file(&path).expect("checked");
        caught += usize::from(!found.damage.is_empty());
        file.write_all_at(&sound[page * 4096..(page + 1) * 4096], page as u64 * 4096).expect("mend");
    }
    // The inner pages of large values say nothing of themselves: their contents are for the formats above to check.
    assert!(caught + 4 >= used && caught > 100, "{caught} of {used} pages");
    file.set_len(sound.len() as u64 / 2).expect("cut");
    assert!(!myelin_slab::check_file(&path).expect("checked").damage.is_empty());
    let error = Slab::open_readonly(&path).err().expect("an error");
    assert!(error.is("BadCoreStore") && error.message().contains("data.mdb"), "{error}");
}

/// A reader that stays for long does not stop the writer: there is room before the map has to move.
#[test]
fn a_long_reader_does_not_stop_growth() {
    let dir = tempfile::tempdir().expect("dir");
    let writer = Writer::start("test").expect("writer");
    let slab = Slab::open(&writer, &dir.path().join("a.lmdb"), Options::small()).expect("slab");
    let table = slab.table("rows", false).expect("table");
    writer.run(|cx| cx.put(table, b"a", b"1")).expect("put");
    let long = slab.read_fresh().expect("txn");
    let begin = std::time::Instant::now();
    // More than the 128 MiB that the reference's map would have had.
    for round in 0..160u32 {
        writer.run(|cx| cx.put(table, &round.to_be_bytes(), &vec![5; MIB as usize])).expect("put");
    }
    slab.commit().expect("commit");
    assert!(begin.elapsed().as_secs() < 20);
    assert_eq!(long.entries(table).expect("entries"), 1);
    let length = std::fs::metadata(dir.path().join("a.lmdb/data.mdb")).expect("file").len();
    assert!(length < 300 * MIB, "the file is as long as what it holds, not as its map: {length}");
    drop(long);
    writer.fini().expect("fini");
}
