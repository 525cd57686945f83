//! A real browser, by WebDriver: what a person sees and does.

use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::setting;

/// A window of headless Chromium on the console.
#[derive(Clone, Debug)]
pub struct Browser(Client);

/// How a window looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Its width in CSS pixels.
    pub width: u32,
    /// Whether the person prefers dark colours.
    pub dark: bool,
}

impl Browser {
    /// Opens the console. None where there is no browser, which `make test` has said.
    pub async fn open(Look { width, dark }: Look) -> Option<Self> {
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

    /// Signs in with a key.
    pub async fn sign_in(&self, key: &str) {
        self.fill("API key", key).await;
        self.press("Sign in").await;
        self.sees("Sign out").await;
    }

    /// Waits for what an XPath leads to, and is shown.
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
        panic!("not shown: {path}\n{}", self.text().await);
    }

    /// Presses the last button, link or summary of this text or label that is shown, whatever lies over it: a dialog's are
    /// after the page's.
    pub async fn press(&self, text: &str) {
        let path = format!(
            "//*[self::button or self::a or self::summary][normalize-space()=\"{text}\" or @aria-label=\"{text}\"]"
        );
        let started = Instant::now();
        // What is found may be drawn anew before it is pressed.
        while started.elapsed() < Duration::from_secs(30) {
            for element in self.0.find_all(Locator::XPath(&path)).await.unwrap().into_iter().rev() {
                if element.is_displayed().await.unwrap_or(false) && element.click().await.is_ok() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not to be pressed: {text}\n{}", self.text().await);
    }

    /// Presses the switch of this label.
    pub async fn switch(&self, label: &str) {
        self.find(&format!("//input[@role='switch' and @aria-label=\"{label}\"]")).await.click().await.unwrap();
    }

    /// Types into the field of this label.
    pub async fn fill(&self, label: &str, text: &str) {
        let label = self.find(&format!("//label[normalize-space()=\"{label}\"]")).await;
        let id = label.attr("for").await.unwrap().unwrap();
        let field = self.0.find(Locator::Id(&id)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// All that is shown.
    pub async fn text(&self) -> String {
        let text = self.0.execute("return document.body.innerText", Vec::new()).await.unwrap();
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a text is shown.
    pub async fn sees(&self, text: &str) {
        let started = Instant::now();
        while !self.text().await.contains(text) {
            assert!(started.elapsed() < Duration::from_secs(30), "not shown: {text}\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a text is not shown any more.
    pub async fn sees_no(&self, text: &str) {
        let started = Instant::now();
        while self.text().await.contains(text) {
            assert!(started.elapsed() < Duration::from_secs(30), "still shown: {text}\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.0.execute(script, Vec::new()).await.unwrap()
    }

    /// What axe-core finds wrong, and whether something is wider than the window.
    pub async fn flaws(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(setting("TENON_AXE")).unwrap();
        self.0.execute(&axe, Vec::new()).await.unwrap();
        let run = "const done = arguments[0]; axe.run().then((found) => done(found.violations.map((violation) => \
                   `${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.html).join(' ')}`)))";
        let found = self.0.execute_async(run, Vec::new()).await.unwrap();
        let mut flaws: Vec<String> =
            found.as_array().unwrap().iter().map(|flaw| flaw.as_str().unwrap().to_owned()).collect();
        if self.run("return document.documentElement.scrollWidth > innerWidth").await == true {
            flaws.push("the page is wider than the window".into());
        }
        flaws
    }

    /// Keeps a picture of what is shown, where `TENON_SCREENSHOTS` names a folder.
    pub async fn picture(&self, name: &str) {
        if let Ok(folder) = std::env::var("TENON_SCREENSHOTS") {
            let picture = self.0.screenshot().await.unwrap();
            std::fs::write(format!("{folder}/{name}.png"), picture).unwrap();
        }
    }

    /// Goes to a part of the console.
    pub async fn go(&self, part: &str) {
        self.find(&format!("//nav//a[normalize-space()=\"{part}\"]")).await.click().await.unwrap();
        self.find(&format!("//h2[normalize-space()=\"{part}\"]")).await;
    }

    /// Closes the window.
    pub async fn close(self) {
        self.0.close().await.unwrap();
    }
}
