//! The page in a real browser: headless Chromium, driven by chromedriver. Where they are not installed this test says so in capitals, and tries nothing
//! (with `EXPORT_BROWSER=must` it fails).
//!
//! It also takes pictures of the page; with `EXPORT_PICTURES=DIRECTORY` they are kept there.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use support::{LIMIT, Server};

mod support;

/// chromedriver, until it is dropped.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    /// `None`: it is not installed.
    fn start() -> Option<Self> {
        let found = Command::new("chromium")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let lines = BufReader::new(child.stdout.take()?).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        Some(Self { child, url: format!("http://127.0.0.1:{}", port?) })
    }

    /// A page in a browser of its own.
    async fn open(&self, server: &Server) -> Page {
        let profile = tempfile::tempdir().unwrap();
        let directory = format!("--user-data-dir={}", profile.path().display());
        let options = json!({
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", directory,
            ],
        });
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&self.url)
            .await;
        let client = client.unwrap();
        client.set_window_size(1200, 900).await.unwrap();
        client.goto(&server.url).await.unwrap();
        let page = Page { client, _profile: profile };
        page.until("#table option", |_| true).await;
        page
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

struct Page {
    client: Client,
    _profile: tempfile::TempDir,
}

impl Page {
    async fn click(&self, selector: &str) {
        self.client.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
    }

    async fn enter(&self, selector: &str, text: &str) {
        let field = self.client.find(Locator::Css(selector)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    async fn text(&self, selector: &str) -> String {
        self.client.find(Locator::Css(selector)).await.unwrap().text().await.unwrap()
    }

    /// Waits until an element is there whose text fits.
    async fn until(&self, selector: &str, fits: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let mut seen = String::from("nothing");
            if let Ok(element) = self.client.find(Locator::Css(selector)).await {
                seen = element.text().await.unwrap_or_default();
                if fits(&seen) {
                    return seen;
                }
            }
            assert!(start.elapsed() < LIMIT, "{selector}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_state(&self, state: &str) {
        self.until("#state", |text| text == state).await;
    }

    async fn rows(&self) -> u64 {
        let rows = self.client.find(Locator::Css("#rows")).await.unwrap();
        rows.attr("data-rows").await.unwrap().unwrap().parse().unwrap()
    }

    async fn until_rows(&self, rows: u64) {
        let start = Instant::now();
        while self.rows().await < rows {
            assert!(start.elapsed() < LIMIT, "{} rows of {rows}", self.rows().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn is_shown(&self, selector: &str) -> bool {
        self.client.find(Locator::Css(selector)).await.unwrap().is_displayed().await.unwrap()
    }

    /// The width of the window's inside, and how wide the page wants to be.
    async fn widths(&self) -> (u64, u64) {
        let script =
            "return [document.documentElement.clientWidth, document.documentElement.scrollWidth]";
        let widths = self.client.execute(script, Vec::new()).await.unwrap();
        (widths[0].as_u64().unwrap(), widths[1].as_u64().unwrap())
    }

    /// The whole page as a picture of this width.
    async fn picture(&self, name: &str, width: u32, height: u32) {
        // A window cannot be as narrow as a phone; this is what a phone's screen is to the page.
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let (inside, wanted) = self.widths().await;
        assert!(wanted <= inside, "{name}: the page is {wanted} wide on {inside}");
        let png = self.client.screenshot().await.unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() < 200_000, "{name}: {} bytes", png.len());
        if let Some(directory) = std::env::var_os("EXPORT_PICTURES") {
            std::fs::write(PathBuf::from(directory).join(format!("{name}.png")), png).unwrap();
        }
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }

    async fn devtools(&self, command: &'static str, parameters: Value) {
        self.client.issue_cmd(DevTools { command, parameters }).await.unwrap();
    }
}

/// A command of Chromium's own.
#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl fantoccini::wd::WebDriverCompatibleCommand for DevTools {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (
            http::Method::POST,
            Some(json!({ "cmd": self.command, "params": self.parameters }).to_string()),
        )
    }
}

#[tokio::test]
async fn the_page_in_a_browser() {
    let Some(driver) = Driver::start() else {
        assert!(std::env::var_os("EXPORT_BROWSER").is_none_or(|must| must != "must"), "no browser");
        println!(
            "SKIPPED: THE PAGE WAS NOT TRIED IN A BROWSER, SINCE chromium AND chromedriver ARE NOT INSTALLED."
        );
        return;
    };
    let server = Server::start(["--rows", "1000000"]);
    let page = driver.open(&server).await;
    all_rows_arrive(&page).await;
    csv_rows_are_counted(&page).await;
    what_is_refused_is_told(&page).await;
    a_failure_looks_like_one(&server, &page).await;
    paused_the_server_stands_still(&server, &page).await;
    cancelled_the_query_ends(&server, &page).await;
    two_pages_at_once(&driver, &server, &page).await;
    page.client.close().await.unwrap();
}

async fn all_rows_arrive(page: &Page) {
    assert_eq!(page.text("#state").await, "Ready");
    assert!(!page.is_shown("#error").await);
    page.enter("#limit", "54321").await;
    page.click("#start").await;
    page.until_state("Complete").await;
    assert_eq!(page.rows().await, 54_321);
    assert_eq!(
        (page.text("#rows").await.as_str(), page.text("#percent").await.as_str()),
        ("54,321", "100 %")
    );
    assert!(page.text("#last").await.contains("\"id\":54321,"));
    assert!(!page.is_shown("#error").await);
}

async fn csv_rows_are_counted(page: &Page) {
    page.click("#format option[value=csv]").await;
    page.enter("#limit", "1000").await;
    page.click("#start").await;
    page.until_state("Complete").await;
    assert_eq!(page.rows().await, 1_000, "the line of headings is no row");
    page.click("#format option[value=ndjson]").await;
}

async fn what_is_refused_is_told(page: &Page) {
    page.enter("#limit", "many").await;
    page.click("#start").await;
    page.until_state("Failed").await;
    let error = page.text("#error").await;
    assert!(
        error.contains("there are no rows") && error.contains("limit: invalid digit"),
        "{error}"
    );
    page.enter("#limit", "").await;
}

async fn a_failure_looks_like_one(server: &Server, page: &Page) {
    page.click("summary").await;
    page.enter("#fail", "600000").await;
    page.click("#start").await;
    page.until_state("Failed").await;
    let error = page.text("#error").await;
    assert!(
        error.contains("that is not all") && error.contains("row 600000: a failure was asked for"),
        "{error}"
    );
    assert!(page.rows().await < 600_000);
    assert_ne!(page.text("#percent").await, "100 %");
    server.until("stats", |stats| stats["queries_running"] == 0).await;
    page.picture("export-failed", 1200, 800).await;
    page.enter("#fail", "").await;
    page.click("summary").await;
}

async fn paused_the_server_stands_still(server: &Server, page: &Page) {
    page.click("#start").await;
    page.until_rows(1_000).await;
    page.click("#pause").await;
    page.until_state("Paused").await;
    let made = server.until_it_stands_still().await;
    let rows = page.rows().await;
    let stats = server.json("stats").await;
    assert_eq!(stats["queries_running"], 1);
    assert!(server.ahead().await <= stats["batch"].as_u64().unwrap());
    assert_eq!(page.text("#pause").await, "Resume");
    page.until("#running", |text| text == "1").await;
    assert_eq!(page.rows().await, rows, "nothing is read while it is paused");
    page.picture("export-phone", 390, 844).await;
    page.click("#pause").await;
    page.until_rows(420_000).await;
    page.picture("export", 1200, 800).await;
    page.until_state("Complete").await;
    assert_eq!(page.rows().await, 1_000_000);
    println!("paused after {rows} rows; the server had made {made} in all and stood still");
}

async fn cancelled_the_query_ends(server: &Server, page: &Page) {
    page.click("#start").await;
    page.until_rows(1_000).await;
    page.click("#pause").await;
    server.until_it_stands_still().await;
    let start = Instant::now();
    page.click("#cancel").await;
    server.until("stats", |stats| stats["queries_running"] == 0).await;
    println!("cancelled: the query has ended after {:?}", start.elapsed());
    page.until_state("Cancelled").await;
    assert!(page.rows().await < 1_000_000 && !page.is_shown("#error").await);
    assert!(
        !page
            .client
            .find(Locator::Css("#start"))
            .await
            .unwrap()
            .is_selected()
            .await
            .unwrap_or(false)
    );
}

async fn two_pages_at_once(driver: &Driver, server: &Server, first: &Page) {
    let second = driver.open(server).await;
    first.click("#start").await;
    first.until_rows(1_000).await;
    first.click("#pause").await;
    server.until_it_stands_still().await;
    second.click("#start").await;
    second.until_state("Complete").await;
    assert_eq!(second.rows().await, 1_000_000, "the first page holds nothing up");
    first.until_state("Paused").await;
    first.click("#pause").await;
    first.until_state("Complete").await;
    assert_eq!(first.rows().await, 1_000_000);
    second.client.close().await.unwrap();
}
