//! Real services for tests: the built binary, spoken to over its unix socket.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use myelin_telepath::Proxy;

/// How long a service may take to come up; a debug build on a busy machine takes a while.
const START: Duration = Duration::from_secs(120);

/// The binary under test.
pub fn myelin() -> Command {
    Command::new(env!("CARGO_BIN_EXE_myelin"))
}

/// A running service. Dropping it kills it.
pub struct Service {
    pub kind: &'static str,
    pub dirn: PathBuf,
    child: Child,
}

impl Service {
    pub fn start(kind: &'static str, dirn: &Path, args: &[&str]) -> Service {
        Service::start_with(kind, dirn, args, &[])
    }

    pub fn start_with(kind: &'static str, dirn: &Path, args: &[&str], env: &[(&str, &str)]) -> Service {
        std::fs::create_dir_all(dirn).expect("directory");
        let log = std::fs::File::options().create(true).append(true).open(dirn.with_extension("log")).expect("log");
        let child = myelin()
            .arg(kind)
            .arg(dirn)
            .args(["--https", "0", "--telepath", "tcp://127.0.0.1:0"])
            .args(args)
            .envs(env.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("started");
        Service { kind, dirn: dirn.to_owned(), child }
    }

    /// A connection as root, as soon as the service answers.
    pub async fn proxy(&mut self) -> Proxy {
        let url = format!("unix://{}/sock", self.dirn.display());
        let begun = Instant::now();
        loop {
            if let Ok(proxy) = Proxy::open(&url).await
                && proxy.call("getCellInfo").await.is_ok()
            {
                return proxy;
            }
            if let Some(status) = self.child.try_wait().expect("status") {
                panic!("the {} ended with {status}: {}", self.kind, self.log());
            }
            assert!(begun.elapsed() < START, "the {} does not come up: {}", self.kind, self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dirn.with_extension("log")).unwrap_or_default()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited");
    }

    /// Ends it as an operator does.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        let begun = Instant::now();
        while self.child.try_wait().expect("status").is_none() {
            assert!(begun.elapsed() < START, "the {} does not end", self.kind);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it ends by itself.
    pub fn wait_end(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("status") {
                return status;
            }
            assert!(begun.elapsed() < START, "the {} does not end", self.kind);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a tool of the binary.
pub fn tool(args: &[&str]) -> Output {
    myelin().arg("tool").args(args).output().expect("the tool")
}

/// Runs `service.verify` and returns its status and what it printed.
pub fn verify(dirn: &Path, args: &[&str]) -> (i32, String) {
    let dirn = dirn.display().to_string();
    let out = tool(&[&["service.verify", dirn.as_str(), "--quiet"], args].concat());
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().unwrap_or(-1), text)
}
