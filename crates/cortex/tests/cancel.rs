//! A query ends soon after it is told to, wherever it is at that moment: by a kill of its task, and when its client goes away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use myelin_cortex::Cortex;
use myelin_value::{Map, Value};

/// Where queries can be found. `PORT` takes connections and never answers.
const PLACES: &[&str] = &[
    "while (true) { $x = (1) }",
    "for $i in $lib.range(1000000000000) { $x = $i }",
    "while (true) { inet:fqdn }",
    "inet:fqdn while (true) { $x = $node.value() }",
    "$lib.time.sleep(1000)",
    "inet:fqdn | $lib.time.sleep(1000)",
    "init { while (true) { } }",
    "fini { $lib.time.sleep(1000) }",
    "empty { $lib.time.sleep(1000) }",
    "try { while (true) { } } catch * as err { while (true) { } }",
    "try { $lib.time.sleep(1000) } catch * as err { $lib.time.sleep(1000) }",
    "function f() { while (true) { } } $f()",
    "function gen() { while (true) { emit foo } } for $i in $gen() { }",
    "function gen() { $lib.time.sleep(1000) emit foo } for $i in $gen() { }",
    "yield ${ while (true) { } }",
    "$q = $lib.queue.gen(empty) $q.get(wait=(true))",
    "$q = $lib.queue.gen(empty) for $i in $q.gets(wait=(true)) { }",
    "parallel --size 2 { $lib.time.sleep(1000) }",
    "parallel --size 2 { while (true) { } }",
    "inet:fqdn | tee --parallel { $lib.time.sleep(1000) } { while (true) { } }",
    "inet:fqdn | tee { while (true) { } }",
    "inet:fqdn +{ $lib.time.sleep(1000) }",
    "inet:fqdn { $lib.time.sleep(1000) }",
    "$pipe = $lib.pipe.gen(${ $lib.time.sleep(1000) }) for $i in $pipe.slices() { }",
    "$pipe = $lib.pipe.gen(${ while (true) { $pipe.put(foo) } }) $lib.time.sleep(1000)",
    "for $m in $lib.cortex.httpapi.list() { } while (true) { }",
    "for $t in $lib.time.ticker(1000) { }",
    "for $t in $lib.time.ticker(0.001) { }",
    "$lib.inet.http.get(\"http://127.0.0.1:PORT/\")",
    "$lib.telepath.open(\"tcp://127.0.0.1:PORT/\").foo()",
    "[ inet:fqdn=new.link ] while (true) { [ inet:ipv4=1.2.3.4 ] }",
    "while (true) { [ inet:ipv4=1.2.3.4 ] | delnode }",
    "$l = ([]) for $i in $lib.range(1000000000000) { if ($i < 10) { $l.append($i) } }",
    "while (true) { $lib.print(foo) }",
    "while (true) { inet:fqdn -> * }",
    "view.exec $lib.view.get().iden { while (true) { } }",
    "runas root { $lib.time.sleep(1000) }",
    "$x=foo switch $x { foo: { while (true) { } } }",
    "inet:fqdn | tree { $lib.time.sleep(1000) }",
    "$lib.view.get().getEdges() while (true) { }",
];

/// How long a query may go on after it was told to end.
const SOON: Duration = Duration::from_secs(3);

async fn call(core: &Arc<Cortex>, query: &str, vars: Map) -> Value {
    let root = core.cell.auth().root().expect("root");
    let opts = Map::new().with("vars", vars);
    let done = core.clone().call_storm(root, query.to_owned(), opts.into()).await;
    done.unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// How many tasks of queries with that text there are.
fn running(core: &Arc<Cortex>, text: &str) -> usize {
    let tasks = core.cell.boss().ps();
    tasks
        .iter()
        .filter(|task| task.pack().get("info").and_then(|info| info.get("query")?.as_str()) == Some(text))
        .count()
}

async fn until(what: &str, text: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < SOON, "{what}: {text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Threads of this process with the name of those that queries run on, and busy.
fn busy_time() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("our own state");
    let rest: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    rest[11].parse::<u64>().expect("ticks") + rest[12].parse::<u64>().expect("ticks")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queries_end_when_they_are_told_to() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().expect("dir");
    let conf = Map::new().with("limit:disk:free", Value::Null);
    let core = Cortex::open(&dir.path().join("core"), conf).expect("a cortex");
    let root = core.cell.auth().root().expect("root");
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = mute.local_addr().expect("an address").port().to_string();
    call(&core, "[ inet:fqdn=vertex.link inet:fqdn=woot.com ] fini { return((1)) }", Map::new()).await;

    for place in PLACES {
        let text = place.replace("PORT", &port);
        // Killed while a client reads.
        let stream = core.clone().storm(root.clone(), text.clone(), Value::Null).await.expect("begun");
        let reader = tokio::spawn(async move {
            let mut stream = stream;
            let mut errors = Vec::new();
            while let Some(mesg) = stream.next().await {
                match mesg {
                    Ok(mesg) if mesg.at(0).and_then(Value::as_str) == Some("err") => errors.push(mesg),
                    Ok(_) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            errors
        });
        until("begins", &text, || running(&core, &text) == 1).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(!reader.is_finished(), "ended by itself: {text}: {:?}", reader.await);
        let find = "for $t in $lib.ps.list() { if ($t.info.query = $text) { return($lib.ps.kill($t.iden)) } }";
        let killed = call(&core, find, Map::new().with("text", text.as_str())).await;
        assert_eq!(killed, Value::from(true), "{text}");
        until("goes on after a kill", &text, || running(&core, &text) == 0).await;
        until("its stream goes on after a kill", &text, || reader.is_finished()).await;
        let errors = reader.await.expect("read");
        assert!(errors.is_empty(), "{text}: {errors:?}");

        // Left by its client, which has read nothing: the pipe may be full.
        let stream = core.clone().storm(root.clone(), text.clone(), Value::Null).await.expect("begun");
        tokio::time::sleep(Duration::from_millis(30)).await;
        drop(stream);
        until("goes on without a client", &text, || running(&core, &text) == 0).await;

        // Killed while its client does not read.
        let stream = core.clone().storm(root.clone(), text.clone(), Value::Null).await.expect("begun");
        tokio::time::sleep(Duration::from_millis(30)).await;
        call(&core, find, Map::new().with("text", text.as_str())).await;
        until("goes on after a kill, unread", &text, || running(&core, &text) == 0).await;
        drop(stream);

        // A call, whose caller gives up.
        let called = core.clone().call_storm(root.clone(), text.clone(), Value::Null);
        let gave_up = tokio::time::timeout(Duration::from_millis(60), called).await;
        assert!(gave_up.is_err(), "ended by itself: {text}");

        // And one that is killed.
        let called = tokio::spawn(core.clone().call_storm(root.clone(), text.clone(), Value::Null));
        tokio::time::sleep(Duration::from_millis(30)).await;
        let find_all = "for $t in $lib.ps.list() { if ($t.info.query = $text) { $lib.ps.kill($t.iden) } } return((1))";
        call(&core, find_all, Map::new().with("text", text.as_str())).await;
        until("the call goes on after a kill", &text, || called.is_finished()).await;
    }

    // Nothing runs on in the background.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = busy_time();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let ticks = busy_time() - before;
    assert!(ticks < 20, "with all queries ended, half a second took {ticks} ticks of processor time");
    core.fini().expect("fini");
}
