//! Logging as operators of the platform know it: text lines or JSON lines on stderr, and the last thousand in memory.
//!
//! Events are those of `tracing`. How their fields appear:
//! - `user` and `username` stand at the top of a JSON line, every other field in its `params`;
//! - a field `params` that holds a JSON object is merged into `params`, for what is known only while running;
//! - a field `error` becomes the object `error` with `code`, `mesg` and `info` where it was recorded as an error
//!   (`error = &error as &dyn Error`), with `mesg` alone where it was recorded as text.
//!
//! The environment (`SYN_LOG_LEVEL`, `SYN_LOG_STRUCT`, `SYN_LOG_DATEFORMAT`) wins over what a program asks for.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{LazyLock, OnceLock};

use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value, json};
use parking_lot::{Mutex, RwLock};
use tokio::sync::broadcast;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Lines kept in memory.
const KEPT: usize = 1000;
/// Lines a slow watcher may be behind before it loses the oldest.
const BACKLOG: usize = 1024;
/// Other libraries speak up from this level on; their details are no help to an operator.
const OTHERS: LevelFilter = LevelFilter::WARN;

static CONF: OnceLock<LogConf> = OnceLock::new();
static SERVICE: RwLock<Option<String>> = RwLock::new(None);
static LINES: LazyLock<Lines> =
    LazyLock::new(|| Lines { kept: Mutex::default(), told: broadcast::Sender::new(BACKLOG) });

struct Lines {
    kept: Mutex<VecDeque<Value>>,
    told: broadcast::Sender<Value>,
}

/// How a process logs.
#[derive(Clone, Debug, PartialEq)]
struct LogConf {
    level: LevelFilter,
    structured: bool,
    dateformat: Option<String>,
}

/// Starts logging. `level` is a name in any case or one of the numbers 10 to 50. A second call keeps what the first set.
pub fn init(level: &str, structured: bool) -> Result<()> {
    let var = |name: &str| std::env::var(name).ok().filter(|valu| !valu.is_empty());
    let conf = LogConf {
        level: level_of(&var("SYN_LOG_LEVEL").unwrap_or_else(|| level.to_owned()))?,
        structured: var("SYN_LOG_STRUCT").map_or(structured, |valu| is_true(&valu)),
        dateformat: var("SYN_LOG_DATEFORMAT"),
    };
    if let Some(format) = &conf.dateformat {
        let known = jiff::fmt::strtime::format(format, &jiff::Zoned::now());
        known.map_err(|error| err!("BadArg", mesg = format!("SYN_LOG_DATEFORMAT is no date format: {error}")))?;
    }
    if CONF.set(conf).is_ok() {
        // Fails where a test or an embedding program has set its own, which then stays.
        let _ = tracing_subscriber::registry().with(Output).try_init();
    }
    Ok(())
}

/// Names the service in every JSON line from now on.
pub fn set_service(name: &str) {
    *SERVICE.write() = Some(name.to_owned());
}

/// The last lines, oldest first.
pub fn last(count: usize) -> Vec<Value> {
    let kept = LINES.kept.lock();
    kept.iter().skip(kept.len().saturating_sub(count)).cloned().collect()
}

/// The last lines, and those that come.
pub fn watch(count: usize) -> (Vec<Value>, broadcast::Receiver<Value>) {
    let kept = LINES.kept.lock();
    let told = LINES.told.subscribe();
    (kept.iter().skip(kept.len().saturating_sub(count)).cloned().collect(), told)
}

fn is_true(valu: &str) -> bool {
    valu == "1" || valu.eq_ignore_ascii_case("true")
}

fn level_of(text: &str) -> Result<LevelFilter> {
    match text.trim().to_uppercase().as_str() {
        "DEBUG" | "10" => Ok(LevelFilter::DEBUG),
        "INFO" | "20" => Ok(LevelFilter::INFO),
        "WARNING" | "30" => Ok(LevelFilter::WARN),
        "ERROR" | "40" => Ok(LevelFilter::ERROR),
        // Nothing here is worse than an error.
        "CRITICAL" | "50" => Ok(LevelFilter::OFF),
        other => {
            let mesg = format!("The log level must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not {other}.");
            Err(err!("BadArg", mesg = mesg, name = "SYN_LOG_LEVEL"))
        }
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

/// The logger's name as the original's operators filter by it.
fn logger_of(target: &str) -> String {
    let (krate, rest) = target.split_once("::").unwrap_or((target, ""));
    match krate {
        "myelin_cell" => "synapse.lib.cell".into(),
        "myelin_aha" => "synapse.lib.aha".into(),
        "myelin_storm" => "synapse.storm".into(),
        "myelin_graph" => "synapse.lib.layer".into(),
        "myelin_axon" | "myelin_jsonstor" | "myelin_cortex" | "myelin_telepath" => {
            krate.replacen("myelin_", "synapse.", 1)
        }
        _ if rest.is_empty() => krate.into(),
        _ => target.replace("::", "."),
    }
}

struct Output;

impl<S: Subscriber> Layer<S> for Output {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let Some(conf) = CONF.get() else { return false };
        let target = metadata.target();
        let ours = ["myelin", "synapse", "tornado"].iter().any(|prefix| target.starts_with(prefix));
        let most = if ours { conf.level } else { conf.level.min(OTHERS) };
        *metadata.level() <= most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        CONF.get().map(|conf| conf.level)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(conf) = CONF.get() else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = Line { meta: event.metadata(), time: time_text(conf), fields };
        let packed = line.pack();
        let mut text = if conf.structured { json_text(&packed) } else { line.text() };
        text.push('\n');
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        let mut kept = LINES.kept.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(packed.clone());
        // Told under the lock: a watcher that begins now gets the line once.
        let _ = LINES.told.send(packed);
    }
}

fn time_text(conf: &LogConf) -> String {
    let now = jiff::Zoned::now();
    let custom = conf.dateformat.as_ref().and_then(|format| jiff::fmt::strtime::format(format, &now).ok());
    custom.unwrap_or_else(|| {
        let (date, time) = (now.date(), now.time());
        format!("{date} {:02}:{:02}:{:02},{:03}", time.hour(), time.minute(), time.second(), time.millisecond())
    })
}

fn json_text(valu: &Value) -> String {
    json::to_json_text(valu).unwrap_or_else(|_| {
        // Bytes and the like have no JSON form; a line is better with their text than not at all.
        let text = Value::from(format!("{valu:?}"));
        json::to_json_text(&Map::new().with("message", text).into()).unwrap_or_default()
    })
}

/// What an event carries.
#[derive(Default)]
struct Fields {
    message: String,
    user: Option<String>,
    username: Option<String>,
    error: Option<Map>,
    params: Map,
}

impl Fields {
    fn add(&mut self, field: &Field, valu: Value) {
        let text = || valu.as_str().map(str::to_owned);
        match field.name() {
            "message" => self.message = text().unwrap_or_default(),
            "user" => self.user = text(),
            "username" => self.username = text(),
            "error" => self.error = text().map(|mesg| Map::new().with("mesg", mesg)),
            "params" => match valu.as_str().and_then(|text| json::parse(text.as_bytes()).ok()) {
                Some(Value::Map(more)) => self.params.update(&more),
                _ => drop(self.params.insert("params", valu)),
            },
            name => drop(self.params.insert(name.strip_prefix("r#").unwrap_or(name), valu)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, valu: &dyn std::fmt::Debug) {
        self.add(field, format!("{valu:?}").into());
    }

    fn record_str(&mut self, field: &Field, valu: &str) {
        self.add(field, valu.into());
    }

    fn record_i64(&mut self, field: &Field, valu: i64) {
        self.add(field, valu.into());
    }

    fn record_u64(&mut self, field: &Field, valu: u64) {
        self.add(field, valu.into());
    }

    fn record_bool(&mut self, field: &Field, valu: bool) {
        self.add(field, valu.into());
    }

    fn record_f64(&mut self, field: &Field, valu: f64) {
        self.add(field, valu.into());
    }

    fn record_error(&mut self, field: &Field, valu: &(dyn std::error::Error + 'static)) {
        if field.name() != "error" {
            return self.add(field, valu.to_string().into());
        }
        self.error = Some(error_map(valu));
    }
}

fn error_map(error: &(dyn std::error::Error + 'static)) -> Map {
    let mut map = match error.downcast_ref::<Error>() {
        Some(error) => {
            let mut info = error.info().clone();
            info.remove("mesg");
            Map::new().with("code", error.name()).with("mesg", error.message()).with("info", info)
        }
        None => Map::new().with("code", "SynErr").with("mesg", error.to_string()),
    };
    map.insert("traceback", Value::empty_list());
    if let Some(cause) = error.source() {
        map.insert("cause", error_map(cause));
    }
    map
}

struct Line<'a> {
    meta: &'a Metadata<'a>,
    time: String,
    fields: Fields,
}

impl Line<'_> {
    fn place(&self) -> (&str, &str, String) {
        let file = self.meta.file().and_then(|path| path.rsplit('/').next()).unwrap_or("-");
        let func = self.meta.module_path().and_then(|path| path.rsplit("::").next()).unwrap_or("-");
        let thread = std::thread::current().name().unwrap_or("-").to_owned();
        (file, func, thread)
    }

    fn text(&self) -> String {
        let (file, func, thread) = self.place();
        let fields = &self.fields;
        let mut out = format!("{} [{}] {}", self.time, level_name(*self.meta.level()), fields.message);
        for (key, valu) in fields.params.text_entries() {
            let _ = match valu.as_str() {
                Some(text) => write!(out, " {key}={text}"),
                None => write!(out, " {key}={}", json_text(valu)),
            };
        }
        if let Some(error) = &fields.error {
            let mesg = error.get_str("mesg").unwrap_or_default();
            let _ = match error.get_str("code") {
                Some(code) => write!(out, " error={code}: {mesg}"),
                None => write!(out, " error={mesg}"),
            };
        }
        let _ = write!(out, " [{file}:{func}:{thread}:{}]", process_name());
        out
    }

    fn pack(&self) -> Value {
        let (_, func, thread) = self.place();
        let fields = &self.fields;
        let logger = Map::new()
            .with("name", logger_of(self.meta.target()))
            .with("func", func)
            .with("process", process_name())
            .with("thread", thread);
        let mut line = Map::new()
            .with("message", fields.message.as_str())
            .with("logger", logger)
            .with("level", level_name(*self.meta.level()))
            .with("time", self.time.as_str());
        if let Some(service) = &*SERVICE.read() {
            line.insert("service", service.as_str());
        }
        for (key, valu) in [("user", &fields.user), ("username", &fields.username)] {
            if let Some(valu) = valu {
                line.insert(key, valu.as_str());
            }
        }
        if let Some(error) = &fields.error {
            line.insert("error", error.clone());
        }
        line.insert("params", fields.params.clone());
        line.into()
    }
}

fn process_name() -> &'static str {
    "MainProcess"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names_and_numbers() {
        for (text, want) in [("debug", LevelFilter::DEBUG), ("30", LevelFilter::WARN), ("Critical", LevelFilter::OFF)] {
            assert_eq!(level_of(text).expect("a level"), want);
        }
        assert!(level_of("LOUD").is_err_and(|error| error.is("BadArg")));
        assert!(is_true("TRUE") && is_true("1") && !is_true("yes"));
    }

    #[test]
    fn loggers_have_the_names_operators_filter_by() {
        assert_eq!(logger_of("myelin_cell::serve"), "synapse.lib.cell");
        assert_eq!(logger_of("myelin_axon"), "synapse.axon");
        assert_eq!(logger_of("synapse.storm.log"), "synapse.storm.log");
        assert_eq!(logger_of("hyper::proto"), "hyper.proto");
    }

    #[test]
    fn errors_keep_their_names_and_causes() {
        let cause = std::io::Error::other("no disk");
        let error = err!("BadArg", mesg = "wrong", name = "x").caused_by(cause);
        let map = error_map(&error);
        assert_eq!(map.get_str("code"), Some("BadArg"));
        assert_eq!(map.get_str("mesg"), Some("wrong"));
        assert_eq!(map.get("info"), Some(&Map::new().with("name", "x").into()));
        assert_eq!(map.get("cause").and_then(|cause| cause.get("mesg")), Some(&"no disk".into()));
    }

    #[test]
    fn a_line_is_written_kept_and_told() {
        init("INFO", true).expect("logging");
        let (_, mut told) = watch(0);
        tracing::info!(target: "synapse.test", user = "ab", params = r#"{"deep": [1]}"#, count = 3, "hello");
        let line = std::iter::from_fn(|| told.try_recv().ok())
            .find(|line| line.get("message") == Some(&"hello".into()))
            .expect("the line");
        assert_eq!(line.get("user"), Some(&"ab".into()));
        let params = line.get("params").and_then(Value::as_map).expect("params");
        assert_eq!((params.get_i64("count"), params.get("deep").is_some()), (Some(3), true));
        assert!(last(KEPT).contains(&line));
    }
}
