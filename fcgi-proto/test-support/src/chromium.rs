//! Headless Chromium, driven over its debugging pipe (the DevTools protocol).

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::programs;
use crate::service::Service;
use crate::temp;

/// A running Chromium with one page and a profile of its own, stopped and cleaned up when dropped.
///
/// It reaches 127.0.0.1 only. What a page asks for and does not get is kept in [`Self::failed`].
pub struct Chromium {
    service: Service,
    to: ChildStdin,
    from: Receiver<Value>,
    folder: TempDir,
    session: Value,
    commands: u64,
    page: Loading,
    failed: Vec<Failed>,
}

/// Something a page did not get, or an error of one of its scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// What was asked for; of a script's error, where it lies.
    pub url: String,
    /// The status of 400 or above, Chromium's name of a network error, or what the script threw.
    pub reason: String,
}

/// How far the page has come.
#[derive(Default)]
struct Loading {
    /// How many documents there were.
    documents: u64,
    /// The loader of the last.
    loader: Value,
    is_idle: bool,
    /// What was asked for and has not ended, by id.
    open: BTreeMap<String, Asked>,
}

/// What a page has asked for.
#[derive(Debug)]
struct Asked {
    url: String,
    /// Of the document that asks.
    loader: Value,
}

impl Chromium {
    /// Starts it with an empty page.
    ///
    /// # Panics
    ///
    /// When Chromium is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = temp::folder();
        let (service, to, from) =
            Service::spawn_piped(&mut command(folder.path()), Signal::TERM, folder.path());
        let from = messages(from);
        let mut chromium = Self {
            service,
            to,
            from,
            folder,
            session: Value::Null,
            commands: 0,
            page: Loading::default(),
            failed: Vec::new(),
        };
        let page = chromium.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        chromium.session = chromium.call("Target.attachToTarget", &attach)["sessionId"].take();
        for domain in ["Network", "Page", "Runtime"] {
            chromium.call(&format!("{domain}.enable"), &json!({}));
        }
        chromium.call("Page.setLifecycleEventsEnabled", &json!({"enabled": true}));
        chromium
    }

    /// Opens an address, and returns when everything the page asks for has come or failed.
    ///
    /// # Panics
    ///
    /// When the address cannot be opened at all, or after a long silence.
    pub fn open(&mut self, url: &str) {
        let before = self.page.documents;
        let opened = self.call("Page.navigate", &json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{url}: {opened}\n{}", self.log());
        self.wait_for_document(before);
    }

    /// Runs JavaScript that leads to another page, as `document.forms[0].submit()`, and returns when that is there.
    ///
    /// # Panics
    ///
    /// When the script throws, or after a long silence.
    pub fn leave(&mut self, script: &str) {
        let before = self.page.documents;
        self.evaluate(script);
        self.wait_for_document(before);
    }

    /// Runs JavaScript in the page and gives the value of its last expression.
    ///
    /// # Panics
    ///
    /// When the script throws.
    pub fn evaluate(&mut self, script: &str) -> Value {
        let code = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let mut result = self.call("Runtime.evaluate", &code);
        assert!(result["exceptionDetails"].is_null(), "{script}: {}", result["exceptionDetails"]);
        result["result"]["value"].take()
    }

    /// Gives what failed since the last call.
    #[must_use]
    pub fn failed(&mut self) -> Vec<Failed> {
        core::mem::take(&mut self.failed)
    }

    /// Writes a picture of the page, a PNG file. For people to look at.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn screenshot(&mut self, file: &Path) {
        let picture = self.call("Page.captureScreenshot", &json!({"captureBeyondViewport": true}));
        let file = File::create(file).expect("a file can be made");
        let mut decoder = Command::new("base64")
            .arg("-d")
            .stdin(Stdio::piped())
            .stdout(file)
            .spawn()
            .expect("coreutils are installed");
        let mut to = decoder.stdin.take().expect("it is piped");
        to.write_all(picture["data"].as_str().unwrap_or_default().as_bytes())
            .expect("it reads its input");
        drop(to);
        assert!(decoder.wait().is_ok_and(|status| status.success()), "no picture: {picture}");
    }

    fn wait_for_document(&mut self, before: u64) {
        while self.page.documents == before || !self.page.is_idle || !self.page.open.is_empty() {
            let message = self.next("a page's end");
            self.take_event(&message);
        }
    }

    /// Sends a command and waits for its result.
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.commands += 1;
        let mut command = json!({"id": self.commands, "method": method, "params": params});
        if self.session.is_string() {
            command["sessionId"] = self.session.clone();
        }
        let sent = self.to.write_all(format!("{command}\0").as_bytes());
        assert!(sent.is_ok(), "chromium does not run:\n{}", self.log());
        loop {
            let mut message = self.next(method);
            if message["id"] == self.commands {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.take_event(&message);
        }
    }

    fn next(&mut self, what: &str) -> Value {
        self.from.recv_timeout(LIMIT).unwrap_or_else(|error| {
            let (open, exited) = (&self.page.open, self.service.exited());
            panic!(
                "chromium is silent, waiting for {what} ({error}, {exited:?}, {open:?}):\n{}",
                self.log()
            )
        })
    }

    fn take_event(&mut self, message: &Value) {
        let params = &message["params"];
        let id = || text(&params["requestId"]);
        match message["method"].as_str().unwrap_or_default() {
            "Page.frameNavigated" if params["frame"]["parentId"].is_null() => {
                self.page.documents += 1;
                self.page.loader = params["frame"]["loaderId"].clone();
                self.page.is_idle = false;
                // What the page before it still waited for is not always told to have ended.
                let loader = &self.page.loader;
                self.page.open.retain(|_, asked| asked.loader == *loader);
            }
            "Page.lifecycleEvent"
                if params["name"] == IDLE && params["loaderId"] == self.page.loader =>
            {
                self.page.is_idle = true;
            }
            // Such a stream has no end.
            "Network.requestWillBeSent" if params["type"] != "EventSource" => {
                let (url, loader) = (text(&params["request"]["url"]), params["loaderId"].clone());
                self.page.open.insert(id(), Asked { url, loader });
            }
            "Network.responseReceived" => {
                let status = params["response"]["status"].as_u64().unwrap_or_default();
                if status >= 400 {
                    self.fail(text(&params["response"]["url"]), status.to_string());
                }
            }
            "Network.loadingFinished" => {
                self.page.open.remove(&id());
            }
            "Network.loadingFailed" => {
                let asked = self.page.open.remove(&id());
                if params["canceled"] != true {
                    let url = asked.map(|asked| asked.url).unwrap_or_default();
                    self.fail(url, text(&params["errorText"]));
                }
            }
            "Runtime.exceptionThrown" => {
                let details = &params["exceptionDetails"];
                let thrown = text(&details["exception"]["description"]);
                self.fail(text(&details["url"]), text(&details["text"]) + " " + &thrown);
            }
            _ => {}
        }
    }

    fn fail(&mut self, url: String, reason: String) {
        self.failed.push(Failed { url, reason });
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }
}

impl fmt::Debug for Chromium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chromium").field("pid", &self.service.pid()).finish_non_exhaustive()
    }
}

/// Chromium speaks over its descriptors 3 and 4, which a shell makes of its standard ones.
fn command(folder: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >&2"#]);
    command.arg(programs::find("chromium", "chromium")).args([
        "--headless=new",
        "--remote-debugging-pipe",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        // Root, who runs tests in a container, has no sandbox; and /dev/shm is small there.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-breakpad",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-extensions",
        "--no-first-run",
        "--no-proxy-server",
        "--window-size=1200,1000",
    ]);
    command.arg(format!("--user-data-dir={}", temp::text(folder)));
    let log = File::create(folder.join(LOG)).expect("a file for its output can be made");
    command.env("HOME", folder).stderr(log);
    command
}

/// Reads messages, which end with NUL, until Chromium ends.
fn messages(from: ChildStdout) -> Receiver<Value> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut message = Vec::new();
        while matches!(from.read_until(0, &mut message), Ok(1..)) {
            message.pop();
            let value = serde_json::from_slice(&message).unwrap_or_default();
            if send.send(value).is_err() {
                return;
            }
            message.clear();
        }
    });
    receive
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// At most two requests have been open for half a second; the rest is in [`Loading::open`].
const IDLE: &str = "networkAlmostIdle";
const LOG: &str = "chromium.log";
/// Long, for machines with better things to do; and longer than a server's own limits, which tell more.
const LIMIT: Duration = Duration::from_secs(150);
