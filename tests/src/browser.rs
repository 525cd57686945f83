//! Headless Chromium, driven over WebDriver.

use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::setting;

/// Browser window on the console.
#[derive(Clone, Debug)]
pub struct Browser(Client);

/// Appearance of a window.
#[derive(Clone, Copy, Debug)]
pub struct Appearance {
    /// Width in CSS pixels.
    pub width: u32,
    /// Whether the user prefers a dark color scheme.
    pub dark: bool,
}

impl Browser {
    /// Opens the console. Returns `None` if no browser is installed, which `make test` reports.
    pub async fn open(Appearance { width, dark }: Appearance) -> Option<Self> {
        let driver = std::env::var("TENON_CHROMEDRIVER").ok()?;
        let scheme = format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 });
        let options = json!({
            "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", scheme],
            "mobileEmulation": { "deviceMetrics": { "width": width, "height": 900, "pixelRatio": 1.0, "touch": false } },
        });
        let capabilities = json!({ "goog:chromeOptions": options }).as_object().unwrap().clone();
        let client =
            ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&driver).await.unwrap();
        client.goto(&format!("{}/console", setting("TENON_URL"))).await.unwrap();
        Some(Self(client))
    }

    /// Signs in with an API key.
    pub async fn sign_in(&self, key: &str) {
        self.fill("API key", key).await;
        self.click_on("Sign in").await;
        self.wait_for_text("Sign out").await;
    }

    /// Waits for a visible element at an XPath.
    async fn find(&self, path: &str) -> Element {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            for element in self.0.find_all(Locator::XPath(path)).await.unwrap() {
                if element.is_displayed().await.unwrap_or(false) {
                    return element;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not visible: {path}\n{}", self.text().await);
    }

    /// Clicks the last visible button, link or summary with this text or label. The elements of a
    /// dialog come after those of the page.
    pub async fn click_on(&self, text: &str) {
        let path = format!(
            "//*[self::button or self::a or self::summary][normalize-space()=\"{text}\" or @aria-label=\"{text}\"]"
        );
        let started = Instant::now();
        // An element may be replaced between finding and clicking it.
        while started.elapsed() < Duration::from_secs(30) {
            for element in self.0.find_all(Locator::XPath(&path)).await.unwrap().into_iter().rev() {
                if element.is_displayed().await.unwrap_or(false) && element.click().await.is_ok() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not clickable: {text}\n{}", self.text().await);
    }

    /// Clicks the switch with this label.
    pub async fn toggle(&self, label: &str) {
        self.find(&format!("//input[@role='switch' and @aria-label=\"{label}\"]")).await.click().await.unwrap();
    }

    /// Replaces the content of the field with this label.
    pub async fn fill(&self, label: &str, text: &str) {
        let label = self.find(&format!("//label[normalize-space()=\"{label}\"]")).await;
        let id = label.attr("for").await.unwrap().unwrap();
        let field = self.0.find(Locator::Id(&id)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Returns the visible text of the page.
    pub async fn text(&self) -> String {
        let text = self.0.execute("return document.body.innerText", Vec::new()).await.unwrap();
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a text is visible.
    pub async fn wait_for_text(&self, text: &str) {
        let started = Instant::now();
        while !self.text().await.contains(text) {
            assert!(started.elapsed() < Duration::from_secs(30), "not visible: {text}\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a text is no longer visible.
    pub async fn wait_for_no_text(&self, text: &str) {
        let started = Instant::now();
        while self.text().await.contains(text) {
            assert!(started.elapsed() < Duration::from_secs(30), "still visible: {text}\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Executes a script in the page.
    pub async fn execute(&self, script: &str) -> Value {
        self.0.execute(script, Vec::new()).await.unwrap()
    }

    /// Returns the accessibility violations found by axe-core, and whether the page overflows the
    /// window.
    pub async fn accessibility_violations(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(setting("TENON_AXE")).unwrap();
        self.0.execute(&axe, Vec::new()).await.unwrap();
        let run = "const done = arguments[0]; axe.run().then((found) => done(found.violations.map((violation) => \
                   `${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.html).join(' ')}`)))";
        let found = self.0.execute_async(run, Vec::new()).await.unwrap();
        let mut violations: Vec<String> =
            found.as_array().unwrap().iter().map(|violation| violation.as_str().unwrap().to_owned()).collect();
        if self.execute("return document.documentElement.scrollWidth > innerWidth").await == true {
            violations.push("the page is wider than the window".into());
        }
        violations
    }

    /// Saves a screenshot to the folder named by `TENON_SCREENSHOTS`, if set.
    pub async fn screenshot(&self, name: &str) {
        if let Ok(folder) = std::env::var("TENON_SCREENSHOTS") {
            let image = self.0.screenshot().await.unwrap();
            std::fs::write(format!("{folder}/{name}.png"), image).unwrap();
        }
    }

    /// Opens a section of the console.
    pub async fn open_section(&self, section: &str) {
        self.find(&format!("//nav//a[normalize-space()=\"{section}\"]")).await.click().await.unwrap();
        self.find(&format!("//h2[normalize-space()=\"{section}\"]")).await;
    }

    /// Closes the window.
    pub async fn close(self) {
        self.0.close().await.unwrap();
    }
}
