//! Replays recorded conversations of the original: our daemon, with a share that answers as the recording says, must
//! send frame for frame what the original sent.
//!
//! The recordings lie beside the repository; without them these tests say so and pass.

#![allow(clippy::unwrap_used)] // A panic is the report, in helpers of tests too.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use myelin_certs::CertDir;
use myelin_error::{Error, Result};
use myelin_telepath::{
    Api, Args, CallCx, Dmon, DmonConf, Family, LinkInfo, LinkRx, LinkTx, LoginCx, Reply, Session, Share, split,
};
use myelin_value::{Map, Value, msgpack};
use parking_lot::Mutex;

fn recordings() -> Vec<PathBuf> {
    let shared = std::env::var("MYELIN_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned());
    let Ok(entries) = std::fs::read_dir(PathBuf::from(shared).join("spec/vectors/telepath")) else {
        eprintln!("skipped: the recordings are not beside the repository");
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "jsonl"));
    paths.sort();
    paths
}

/// One line of a recording.
enum Step {
    Open(i64),
    Eof(i64),
    Frame { conn: i64, c2s: bool, frame: Value, byts: Vec<u8> },
}

fn load(path: &PathBuf) -> Vec<Step> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut steps = Vec::new();
    for line in text.lines() {
        // The readable form may hold lone surrogates, which a JSON parser refuses; the bytes are all that is needed.
        let line = line.split_once(r#", "decoded":"#).map_or_else(|| line.to_owned(), |(head, _)| format!("{head}}}"));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let Some(conn) = line["conn"].as_i64() else { continue };
        match (line["event"].as_str(), line["hex"].as_str()) {
            (Some("open"), _) => steps.push(Step::Open(conn)),
            (Some("c2s:eof"), _) => steps.push(Step::Eof(conn)),
            (_, Some(text)) => {
                let byts = hex::decode(text).unwrap();
                let frame = msgpack::decode(&byts).unwrap();
                steps.push(Step::Frame { conn, c2s: line["dir"] == "c2s", frame, byts });
            }
            _ => {}
        }
    }
    steps
}

#[test]
fn frames_decode_and_encode_to_the_same_bytes() {
    let mut count = 0;
    for path in recordings() {
        for step in load(&path) {
            if let Step::Frame { frame, byts, .. } = step {
                assert_eq!(hex::encode(msgpack::encode(&frame)), hex::encode(&byts), "{}", path.display());
                count += 1;
            }
        }
    }
    eprintln!("{count} frames");
}

/// What the recording's service did, to be done again by ours.
#[derive(Default)]
struct Script {
    logins: VecDeque<std::result::Result<Value, Error>>,
    features: VecDeque<Option<Map>>,
    calls: HashMap<Vec<u8>, VecDeque<Done>>,
}

enum Done {
    Value(Value),
    Error(Error),
    Genr(Vec<Result<Value>>, bool),
    Share(Value),
}

type Shared = Arc<Mutex<Script>>;

struct Scripted(Shared);

#[async_trait]
impl Share for Scripted {
    fn features(&self) -> Option<Map> {
        self.0.lock().features.pop_front().flatten()
    }

    async fn login(&self, _cx: LoginCx) -> Result<Arc<dyn Api>> {
        let sharinfo = self.0.lock().logins.pop_front().expect("a login that was not recorded")?;
        Ok(Arc::new(Player { script: self.0.clone(), sharinfo }))
    }
}

struct Player {
    script: Shared,
    sharinfo: Value,
}

#[async_trait]
impl Api for Player {
    fn sharinfo(&self) -> Value {
        self.sharinfo.clone()
    }

    async fn call(self: Arc<Self>, _cx: CallCx, name: &str, args: Args) -> Result<Reply> {
        let todo = Value::list([name.into(), args.pos.into(), args.kwargs.into()]);
        let done = self.script.lock().calls.get_mut(&msgpack::encode(&todo)).and_then(VecDeque::pop_front);
        match done.unwrap_or_else(|| panic!("a call that was not recorded: {todo:?}")) {
            Done::Value(valu) => Ok(Reply::Value(valu)),
            Done::Error(e) => Err(e),
            Done::Genr(items, whole) => {
                let tail = if whole { stream::empty().boxed() } else { stream::pending().boxed() };
                Ok(Reply::genr(stream::iter(items).chain(tail)))
            }
            Done::Share(sharinfo) => Ok(Reply::Share(Arc::new(Player { script: self.script.clone(), sharinfo }))),
        }
    }
}

fn result_of(retn: &Value) -> Result<Value> {
    match retn.at(0) {
        Some(Value::Bool(true)) => Ok(retn.at(1).unwrap().clone()),
        _ => Err(Error::unpack(retn.at(1).unwrap())),
    }
}

fn mesg_of(frame: &Value) -> (&str, Map) {
    let info = frame.at(1).and_then(Value::as_map).cloned().unwrap_or_default();
    (frame.at(0).and_then(Value::as_str).unwrap_or(""), info)
}

/// Reads off the recording what each login and call led to.
fn script(steps: &[Step], dmon: &Dmon) -> Shared {
    let shared = Shared::default();
    let mut open: HashMap<i64, VecDeque<Value>> = HashMap::new();
    let mut streams: HashMap<String, Vec<u8>> = HashMap::new();
    let mut genrs: HashMap<i64, (Vec<u8>, usize)> = HashMap::new();
    for step in steps {
        let Step::Frame { conn, c2s, frame, .. } = step else { continue };
        let (name, info) = mesg_of(frame);
        let asked = open.entry(*conn).or_default();
        if *c2s {
            if ["tele:syn", "t2:init", "task:init"].contains(&name) {
                asked.push_back(frame.clone());
            }
            continue;
        }
        let mut script = shared.lock();
        match name {
            "tele:syn" => {
                let share = mesg_of(&asked.pop_front().unwrap()).1.get_str("name").unwrap_or("").to_owned();
                let share = share.split('/').next().filter(|name| !name.is_empty()).unwrap_or("*").to_owned();
                let retn = result_of(info.get("retn").unwrap());
                let known = !retn
                    .as_ref()
                    .is_err_and(|e| e.is("BadMesgVers") || e.is("NoSuchName") && !info.contains("features"));
                if known {
                    dmon.share(&share, Arc::new(Scripted(shared.clone())));
                    script.features.push_back(info.get("features").and_then(Value::as_map).cloned());
                    script.logins.push_back(retn.map(|_| info.get("sharinfo").unwrap().clone()));
                }
            }
            "t2:fini" | "t2:genr" | "t2:share" | "task:fini" => {
                let todo = msgpack::encode(mesg_of(&asked.pop_front().unwrap()).1.get("todo").unwrap_or(&Value::Null));
                let retn = info.get("retn").map(result_of);
                let done = match (name, retn) {
                    ("t2:share", _) => Done::Share(info.get("sharinfo").unwrap().clone()),
                    ("t2:genr", _) => Done::Genr(Vec::new(), false),
                    ("task:fini", Some(Ok(iden))) if info.contains("type") => {
                        streams.insert(iden.as_str().unwrap().to_owned(), todo.clone());
                        Done::Genr(Vec::new(), false)
                    }
                    (_, Some(Ok(valu))) => Done::Value(valu),
                    (_, Some(Err(e))) => Done::Error(e),
                    _ => panic!("a reply without result"),
                };
                // What the daemon itself refused never came to the share.
                if let Done::Error(e) = &done
                    && e.info().get_str("efile") == Some("daemon.py")
                    && (e.is("NoSuchObj") || e.is("ValueError"))
                {
                    continue;
                }
                let calls = script.calls.entry(todo.clone()).or_default();
                calls.push_back(done);
                genrs.insert(*conn, (todo, calls.len() - 1));
            }
            "t2:yield" | "share:data" => {
                let key = if name == "t2:yield" { "retn" } else { "data" };
                let (todo, at) = match info.get_str("share") {
                    Some(iden) => (streams[iden].clone(), script.calls[&streams[iden]].len() - 1),
                    None => genrs[conn].clone(),
                };
                let Some(Done::Genr(items, whole)) = script.calls.get_mut(&todo).and_then(|calls| calls.get_mut(at))
                else {
                    panic!("an item without stream");
                };
                match info.get(key).unwrap() {
                    Value::Null => *whole = true,
                    retn => {
                        let item = result_of(retn);
                        *whole = item.is_err();
                        items.push(item);
                    }
                }
            }
            other => panic!("a message that is not known: {other}"),
        }
    }
    shared
}

/// Replaces text anywhere in a value.
fn swap(valu: &Value, names: &HashMap<String, String>) -> Value {
    match valu {
        Value::Str(text) => names.get(&**text).map_or_else(|| valu.clone(), |name| Value::from(name.as_str())),
        Value::List(items) => items.iter().map(|item| swap(item, names)).collect(),
        Value::Map(map) => Value::from(map.iter().map(|(key, valu)| (key.clone(), swap(valu, names))).collect::<Map>()),
        _ => valu.clone(),
    }
}

/// Errors without what tells of the source position, and without their text.
fn plain(frame: &Value) -> Value {
    match frame {
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(map) => {
            let dropped = |key: &Value| {
                let key = key.as_str().unwrap_or("");
                map.contains("esrc") && key == "mesg" || ["efile", "eline", "esrc", "ename"].contains(&key)
            };
            let mut kept: Map =
                map.iter().filter(|(key, _)| !dropped(key)).map(|(key, valu)| (key.clone(), plain(valu))).collect();
            // Only ours have a text here, or the recording's was dropped above.
            if !kept.contains("sess") && kept.len() <= 2 {
                kept.remove("mesg");
            }
            kept.into()
        }
        _ => frame.clone(),
    }
}

struct Conn {
    rx: LinkRx,
    tx: LinkTx,
}

fn connect(dmon: &Dmon) -> Conn {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let info = LinkInfo { family: Family::Tcp, peer: Some(([127, 0, 0, 1], 1).into()), path: None, peer_cn: None };
    dmon.on_stream(Box::new(theirs), info);
    let (rx, tx) = split(Box::new(ours), 1 << 30);
    Conn { rx, tx }
}

/// Sessions end a moment after their connection; a recording has no such moment.
async fn until_gone(dmon: &Dmon, sess: &Arc<Session>) {
    for _ in 0..500 {
        if dmon.session(&sess.iden).is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the session outlived its connection");
}

async fn replay(path: &PathBuf) -> usize {
    let steps = load(path);
    let dmon = Dmon::new(Arc::new(CertDir::new([])), DmonConf::default());
    let _script = script(&steps, &dmon);
    let mut conns: HashMap<i64, Conn> = HashMap::new();
    let mut names: HashMap<String, String> = HashMap::new();
    let mut sessions: HashMap<i64, Vec<Arc<Session>>> = HashMap::new();
    let mut frames = 0;
    for (indx, step) in steps.iter().enumerate() {
        match step {
            Step::Open(conn) => {
                conns.insert(*conn, connect(&dmon));
            }
            Step::Eof(conn) => {
                conns.remove(conn);
                for sess in sessions.remove(conn).unwrap_or_default() {
                    until_gone(&dmon, &sess).await;
                }
            }
            Step::Frame { conn, c2s: true, frame, .. } => {
                if frame.at(0).and_then(Value::as_str) == Some("tele:syn") {
                    let reply = steps[indx..].iter().find_map(|next| match next {
                        Step::Frame { conn: at, c2s: false, frame, .. } if at == conn => Some(frame),
                        _ => None,
                    });
                    let ahainfo = reply.and_then(|reply| reply.at(1)?.get("ahainfo")?.as_map().cloned());
                    dmon.set_ahainfo(ahainfo);
                }
                conns.entry(*conn).or_insert_with(|| connect(&dmon)).tx.tx(&swap(frame, &names)).await.unwrap();
            }
            Step::Frame { conn, c2s: false, frame, .. } => {
                let got = tokio::time::timeout(Duration::from_secs(5), conns.get_mut(conn).unwrap().rx.rx()).await;
                let got = got.unwrap_or_else(|_| panic!("{}: no answer, wanted {frame:?}", path.display()));
                let got = got.unwrap().expect("the link was closed");
                learn(frame, &got, &mut names);
                if let Some(sess) = got.at(1).and_then(|info| info.get("sess")).and_then(Value::as_str) {
                    sessions.entry(*conn).or_default().push(dmon.session(sess).unwrap());
                }
                assert_eq!(plain(&got), plain(&swap(frame, &names)), "{} at frame {indx}", path.display());
                frames += 1;
            }
        }
    }
    drop(conns);
    dmon.fini().await;
    frames
}

/// Idens are new in each run: what the recording calls so, we call so.
fn learn(want: &Value, got: &Value, names: &mut HashMap<String, String>) {
    let pick = |frame: &Value, key: &str| frame.at(1)?.get(key)?.as_str().map(str::to_owned);
    let mut pairs = vec![(pick(want, "sess"), pick(got, "sess"))];
    match want.at(0).and_then(Value::as_str) {
        Some("t2:share") => pairs.push((pick(want, "iden"), pick(got, "iden"))),
        Some("task:fini") if want.at(1).is_some_and(|info| info.get("type").is_some()) => {
            let iden = |frame: &Value| frame.at(1)?.get("retn")?.at(1)?.as_str().map(str::to_owned);
            pairs.push((iden(want), iden(got)));
        }
        _ => {}
    }
    for (want, got) in pairs {
        if let (Some(want), Some(got)) = (want, got) {
            names.insert(want, got);
        }
    }
}

#[tokio::test]
async fn our_daemon_answers_as_recorded() {
    let mut total = 0;
    for path in recordings() {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tls_")) {
            continue;
        }
        let frames = replay(&path).await;
        assert!(frames > 0, "{} has no frames", path.display());
        total += frames;
    }
    eprintln!("{total} frames answered as recorded");
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_closes_the_link() {
    let dmon = Dmon::new(Arc::new(CertDir::new([])), DmonConf::default());
    // An ext type that is not known, text that is not UTF-8, a marker that starts nothing.
    for byts in [&[0xd4, 7, 0][..], &[0xa1, 0xff], &[0xc1]] {
        let mut conn = connect(&dmon);
        conn.tx.tx(&Value::from(5)).await.unwrap();
        conn.tx.send(byts).await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(5), conn.rx.rx()).await.unwrap();
        assert!(end.unwrap().is_none());
    }
    dmon.fini().await;
}

struct Anyone;

#[async_trait]
impl Share for Anyone {
    async fn login(&self, _cx: LoginCx) -> Result<Arc<dyn Api>> {
        Ok(Arc::new(Player { script: Shared::default(), sharinfo: Value::Null }))
    }
}

/// Messages of every known name with contents of every wrong kind: each is answered or dropped, none hurts the link.
#[tokio::test]
async fn messages_of_the_wrong_shape_are_survived() {
    let dmon = Dmon::new(Arc::new(CertDir::new([])), DmonConf::default());
    dmon.share("*", Arc::new(Anyone));
    let odd = || {
        let nested = Value::list([Value::list([Value::Null]), Map::new().with(5, "x").into()]);
        [
            Value::Null,
            true.into(),
            7.into(),
            (-1.5).into(),
            "text".into(),
            Value::from(&b"x"[..]),
            nested,
            Map::new().into(),
        ]
    };
    let mut conn = connect(&dmon);
    for name in ["tele:syn", "t2:init", "task:init", "share:fini", "newp"] {
        for info in odd() {
            conn.tx.tx(&Value::list([name.into(), info])).await.unwrap();
        }
        for key in ["vers", "name", "auth", "sess", "todo", "task", "share"] {
            for valu in odd() {
                let info = Map::new().with("vers", [3, 0]).with("sess", "x").with(key, valu);
                conn.tx.tx(&Value::list([name.into(), info.into()])).await.unwrap();
            }
        }
    }
    let last = Map::new().with("vers", [3, 0]).with("auth", Value::Null).with("name", "last");
    conn.tx.tx(&Value::list(["tele:syn".into(), last.into()])).await.unwrap();
    // The last answer is the one that names the share asked for last.
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(5), conn.rx.rx()).await.unwrap().unwrap();
        let frame = frame.expect("the link was closed");
        if format!("{frame:?}").contains("\"last\"") {
            break;
        }
    }
    dmon.fini().await;
}

/// Random bytes close their own link at most; the daemon serves on.
#[tokio::test]
async fn random_bytes_are_survived() {
    let dmon = Dmon::new(Arc::new(CertDir::new([])), DmonConf { max_frame: 1 << 16, ..DmonConf::default() });
    dmon.share("*", Arc::new(Anyone));
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..500 {
        let mut byts = Vec::new();
        for _ in 0..64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            byts.push((seed >> 56) as u8);
        }
        let conn = connect(&dmon);
        // The daemon may have closed the link half way.
        let _ = conn.tx.send(&byts).await;
    }
    let mut conn = connect(&dmon);
    let syn = Map::new().with("vers", [3, 0]).with("name", "");
    conn.tx.tx(&Value::list(["tele:syn".into(), syn.into()])).await.unwrap();
    let ack = tokio::time::timeout(Duration::from_secs(5), conn.rx.rx()).await.unwrap().unwrap().unwrap();
    assert!(ack.at(1).unwrap().get("sess").is_some());
    dmon.fini().await;
    assert_eq!(dmon.link_count(), 0);
}
