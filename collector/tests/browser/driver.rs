//! Headless Chromium, controlled with WebDriver.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use testbed::{PATIENCE, in_time, until};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::client::Connection;

/// Runs before every page: records long tasks, and when the first row of a table is there. `plain` is an
/// element's text with plain spaces: figures have others.
const OBSERVE: &str = "
    window.plain = (element) => element?.textContent.replaceAll('\\u00a0', ' ');
    new MutationObserver((_, observer) => {
        if (!document.querySelector('.rows .row')) return;
        window.firstRow = performance.now();
        observer.disconnect();
    }).observe(document, { childList: true, subtree: true });
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map(
        (entry) => entry.duration))).observe({ type: 'longtask' });";

pub struct Browser {
    driver: Child,
    address: String,
    session: String,
    /// Origin of the pages.
    origin: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _gone = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

impl Browser {
    /// Starts a browser for the pages of one collector.
    pub async fn start(address: &str) -> Self {
        let origin = format!("http://{address}/");
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        // In its own process namespace, so that no browser outlives it, however it ends.
        let mut driver = Command::new("unshare");
        let namespace = if nix::unistd::geteuid().is_root() { "-pf" } else { "-rpf" };
        driver.args([namespace, "--mount-proc", "--kill-child", "chromedriver"]);
        driver.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = driver.spawn().expect("chromedriver of Debian's chromium-driver is needed");
        let address = format!("127.0.0.1:{port}");
        until("chromedriver", async || TcpStream::connect(&address).await.is_ok()).await;
        let mut browser = Self { driver, address, session: String::new(), origin };
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--window-size=1320,1100",
            "--lang=en",
            "--disable-dev-shm-usage",
        ];
        let capabilities = json!({
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let asked = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let made = browser.call("", &asked).await;
        browser.session = format!("/{}", made["sessionId"].as_str().unwrap());
        browser.before_pages(OBSERVE).await;
        browser
    }

    /// Runs a script before every page opened from now on.
    pub async fn before_pages(&self, source: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
    }

    /// Opens a page by the part after its `#`.
    pub async fn open(&self, hash: &str) {
        // A page that differs only by its hash would not be reloaded.
        self.call("/url", &json!({ "url": "about:blank" })).await;
        self.call("/url", &json!({ "url": format!("{}#{hash}", self.origin) })).await;
    }

    /// The value of an expression.
    pub async fn value(&self, expression: &str) -> Value {
        let script = json!({ "script": format!("return {expression}"), "args": [] });
        self.call("/execute/sync", &script).await
    }

    /// The text of the first matching element, with plain spaces.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("plain(document.querySelector({selector:?}))")).await;
        text.as_str().unwrap_or_else(|| panic!("no {selector}")).to_owned()
    }

    /// The result of an asynchronous function body.
    pub async fn run(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; (async () => {{ {body} }})().then(done, (error) => \
             done(String(error)))"
        );
        self.call("/execute/async", &json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression is true.
    pub async fn until(&self, condition: &str) {
        self.until_within(PATIENCE, condition).await;
    }

    pub async fn until_within(&self, patience: Duration, condition: &str) {
        let deadline = Instant::now() + patience;
        while self.value(condition).await != json!(true) {
            if Instant::now() > deadline {
                let page = self.value("document.body.innerText").await;
                panic!("not within {patience:?}: {condition}; the page says: {page}");
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    pub async fn click(&self, selector: &str) {
        self.until(&format!("document.querySelector({selector:?}) !== null")).await;
        let find = json!({ "using": "css selector", "value": selector });
        let found = self.call("/element", &find).await;
        let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.call(&format!("/element/{id}/click"), &json!({})).await;
    }

    /// Presses keys on the focused element.
    pub async fn keys(&self, keys: &[&str]) {
        let press = |key: &&str| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        };
        let actions: Vec<Value> = keys.iter().flat_map(press).collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.call("/actions", &json!({ "actions": [keyboard] })).await;
    }

    /// Drags over the chart between two shares of its width.
    pub async fn drag(&self, from: f64, to: f64) {
        let over = self
            .value(
                "(({left, top, width, height}) => [left, top, width, height])\
                    (document.querySelector('#chart .u-over').getBoundingClientRect())",
            )
            .await;
        let [left, top, width, height] = [0, 1, 2, 3].map(|at| over[at].as_f64().unwrap());
        let at = |share: f64| {
            json!({ "type": "pointerMove", "duration": 50, "x": (left + share * width).round(),
                    "y": (top + height / 2.0).round() })
        };
        let actions = [
            at(from),
            json!({ "type": "pointerDown", "button": 0 }),
            at(to),
            json!({ "type": "pointerUp", "button": 0 }),
        ];
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": actions });
        self.call("/actions", &json!({ "actions": [mouse] })).await;
    }

    /// Emulates a media feature, such as `prefers-color-scheme: dark`.
    pub async fn media(&self, name: &str, value: &str) {
        let features = json!({ "features": [{ "name": name, "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Emulates a time zone.
    pub async fn zone(&self, zone: &str) {
        self.devtools("Emulation.setTimezoneOverride", json!({ "timezoneId": zone })).await;
    }

    /// Allows pages to use the clipboard.
    pub async fn allow_clipboard(&self) {
        let permissions =
            json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
        self.devtools("Browser.grantPermissions", permissions).await;
    }

    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1,
                           "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Saves a picture of the page if pictures are wanted.
    pub async fn picture(&self, name: &str) {
        let Some(folder) = testbed::pictures() else { return };
        let shot = self.devtools("Page.captureScreenshot", json!({})).await;
        let png = BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// Fails if a page logged an error or requested anything from another origin.
    pub async fn must_be_content(&self) {
        let log = self.call("/se/log", &json!({ "type": "browser" })).await;
        let bad = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        assert_eq!(bad.collect::<Vec<_>>(), Vec::<&Value>::new(), "console errors");
        let log = self.call("/se/log", &json!({ "type": "performance" })).await;
        let mut asked = 0;
        for entry in log.as_array().unwrap() {
            let entry: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            if entry["message"]["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let url = entry["message"]["params"]["request"]["url"].as_str().unwrap().to_owned();
            let own = url.starts_with(&self.origin);
            assert!(own || url.starts_with("blob:") || url.starts_with("data:"), "asked for {url}");
            asked += u32::from(own);
        }
        assert!(asked > 0, "no requests were seen");
    }

    /// Fails if axe finds a violation on the current page.
    pub async fn must_be_accessible(&self) {
        let axe = concat!(env!("CARGO_MANIFEST_DIR"), "/web/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(axe).expect("npm install in collector/web gets axe-core");
        self.call("/execute/sync", &json!({ "script": axe, "args": [] })).await;
        let found = self
            .run(
                "const { violations } = await axe.run();
                 return violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);",
            )
            .await;
        assert_eq!(found, json!([]), "axe");
    }

    /// CPU time that the page's main thread takes per second, over some seconds.
    pub async fn load(&self, length: Duration) -> f64 {
        self.devtools("Performance.enable", json!({ "timeDomain": "threadTicks" })).await;
        let used = async || {
            let told = self.devtools("Performance.getMetrics", json!({})).await;
            let metrics = told["metrics"].as_array().unwrap();
            let tasks = metrics.iter().find(|metric| metric["name"] == "TaskDuration");
            tasks.unwrap()["value"].as_f64().unwrap()
        };
        let (from, before) = (Instant::now(), used().await);
        tokio::time::sleep(length).await;
        (used().await - before) / from.elapsed().as_secs_f64()
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.call("/goog/cdp/execute", &json!({ "cmd": command, "params": params })).await
    }

    async fn call(&self, command: &str, body: &Value) -> Value {
        in_time("the browser's answer", self.ask(command, body)).await
    }

    async fn ask(&self, command: &str, body: &Value) -> Value {
        let (body, session) = (body.to_string(), &self.session);
        let mut connection = Connection::connect(&self.address).await;
        let length = body.len();
        let head = format!("POST /session{session}{command} HTTP/1.1\r\nHost: localhost");
        let rest = format!("Connection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        connection.write(&format!("{head}\r\n{rest}")).await;
        let answer: Value = serde_json::from_str(&connection.body().await).unwrap();
        let value = &answer["value"];
        assert!(value["error"].is_null(), "{command} {body}: {value}");
        value.clone()
    }
}
