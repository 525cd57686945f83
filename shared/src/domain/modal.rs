//! Defaults of the embedded modal: the pages that may embed it, its theme and its language.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::{string_enum, string_newtype};

/// Maximum number of origins that may embed the modal.
pub const MAX_ORIGINS: usize = 20;
/// Maximum number of pages around the frame of the modal: its parent and those above it.
pub const MAX_ANCESTORS: usize = 3;
/// Minimum contrast of text (WCAG 2.2, success criterion 1.4.3).
const MIN_CONTRAST: f64 = 4.5;

/// Defaults of the modal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Modal {
    /// Origins of the pages that may embed the modal.
    pub origins: Vec<Origin>,
    /// Theme.
    #[schema(required = true)]
    pub theme: Option<Theme>,
    /// Language.
    #[schema(required = true)]
    pub lang: Option<Language>,
}

string_newtype! {
    /// Origin of a page, as browsers serialize it (RFC 6454): `https://host` or
    /// `https://host:port`; `http` for localhost and 127.0.0.1 only.
    Origin,
    /// Error for a text that is not an origin.
    #[error("must be an origin such as https://app.example.com: in lower case, and without a path, a wildcard or the default port; http is allowed for localhost and 127.0.0.1 only")]
    OriginError,
    r"^https?://[^/?#\s]+$",
    is_origin
}

/// Maximum length of an origin: scheme, a host of 253 characters (RFC 1035) and a port.
const MAX_ORIGIN: usize = 267;

fn is_origin(text: &str) -> bool {
    if text.len() > MAX_ORIGIN {
        return false;
    }
    let Ok(url) = url::Url::parse(text) else { return false };
    let is_secure = match url.scheme() {
        "https" => true,
        "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1")),
        _ => false,
    };
    // Origins become part of a Content Security Policy, in which a host may contain `*` and `;`
    // ends a directive. Both are valid in the host of a URL. A policy cannot name an IPv6 address.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/' | b'.' | b'-' | b'_');
    // A default port, a path or an upper-case letter makes a URL different from its origin.
    is_secure && text.bytes().all(is_plain) && url.origin().ascii_serialization() == text
}

impl Origin {
    /// Returns whether a URL has this origin.
    pub fn is_of(&self, url: &str) -> bool {
        url::Url::parse(url).is_ok_and(|url| url.origin().ascii_serialization() == self.0)
    }
}

/// Language of the modal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
    /// Portuguese.
    Pt,
    /// Japanese.
    Ja,
}

string_enum!(Language { En = "en", De = "de", Fr = "fr", Es = "es", Pt = "pt", Ja = "ja" });

/// Theme of the modal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Theme {
    /// One of the default palettes, or the one that the browser prefers.
    Scheme(Scheme),
    /// Palettes of its own.
    Palettes(Box<Palettes>),
}

/// Choice between the default palettes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Always light.
    Light,
    /// Always dark.
    Dark,
    /// As the browser prefers.
    Auto,
}

string_enum!(Scheme { Light = "light", Dark = "dark", Auto = "auto" });

/// Palettes for light and dark display. Without one, the default applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Palettes {
    /// Palette for light display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light: Option<Palette>,
    /// Palette for dark display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dark: Option<Palette>,
}

/// Colors, radius and font. Absent members have their default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Palette {
    /// Color of buttons and links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accent: Option<Color>,
    /// Color of text on the accent color.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_accent: Option<Color>,
    /// Color behind the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Color>,
    /// Color of cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<Color>,
    /// Color of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Color>,
    /// Color of secondary text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_text: Option<Color>,
    /// Color of borders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub border: Option<Color>,
    /// Color of warnings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub danger: Option<Color>,
    /// Radius of corners in pixels, 0 to 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radius: Option<u8>,
    /// Font family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<Font>,
}

string_newtype! {
    /// Color in the sRGB space: `#rrggbb`.
    Color,
    /// Error for a text that is not a color.
    #[error("must be a color such as #0b5cad")]
    ColorError,
    "^#[0-9A-Fa-f]{6}$",
    |text| channels(text).is_some()
}

string_newtype! {
    /// Font family.
    Font,
    /// Error for a text that is not a font family.
    #[error("must be 1 to 100 letters, digits, spaces, commas, apostrophes or hyphens")]
    FontError,
    "^[A-Za-z0-9 ,'-]{1,100}$",
    |text| {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b',' | b'\'' | b'-');
        (1..=100).contains(&text.len()) && text.bytes().all(is_valid)
    }
}

/// Red, green and blue, from 0 to 255.
fn channels(color: &str) -> Option<[u8; 3]> {
    let mut channels = [0; 3];
    hex::decode_to_slice(color.strip_prefix('#')?, &mut channels).ok()?;
    Some(channels)
}

impl Color {
    /// Returns the relative luminance (WCAG 2.2), from 0 to 1.
    fn luminance(&self) -> f64 {
        let linear = |channel: u8| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = channels(&self.0).unwrap_or_default();
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    /// Returns the contrast ratio of two colors (WCAG 2.2), from 1 to 21.
    fn contrast(&self, other: &Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }
}

/// Default colors of the light palette: accent, on accent, background, surface, text, muted text
/// and danger.
pub const LIGHT: [&str; 7] = ["#0b5cad", "#ffffff", "#ffffff", "#f4f6f8", "#1c2024", "#5b6570", "#b3261e"];
/// Default colors of the dark palette, in the same order.
pub const DARK: [&str; 7] = ["#7db8f5", "#0d1a28", "#14171a", "#1d2126", "#e7eaee", "#a3adb8", "#ff9d94"];

/// Text color that cannot be read on another color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowContrast {
    /// Palette: `light` or `dark`.
    pub palette: &'static str,
    /// Member with the color of the text.
    pub text: &'static str,
    /// Member with the color behind it.
    pub behind: &'static str,
}

impl Palettes {
    /// Returns every text whose contrast is too low, with the defaults of colors that are absent.
    pub fn low_contrasts(&self) -> Vec<LowContrast> {
        let palettes = [("light", &self.light, LIGHT), ("dark", &self.dark, DARK)];
        let given =
            palettes.into_iter().filter_map(|(name, palette, defaults)| Some((name, palette.as_ref()?, defaults)));
        given.flat_map(|(name, palette, defaults)| palette.low_contrasts(name, defaults)).collect()
    }
}

impl Palette {
    fn low_contrasts(&self, palette: &'static str, defaults: [&str; 7]) -> Vec<LowContrast> {
        let given = [
            &self.accent,
            &self.on_accent,
            &self.background,
            &self.surface,
            &self.text,
            &self.muted_text,
            &self.danger,
        ];
        let mut colors = given.into_iter().zip(defaults).map(|(given, default)| match given {
            Some(color) => color.clone(),
            None => Color(default.to_owned()),
        });
        let [
            Some(accent),
            Some(on_accent),
            Some(background),
            Some(surface),
            Some(text),
            Some(muted_text),
            Some(danger),
        ] = std::array::from_fn(|_| colors.next())
        else {
            return Vec::new();
        };
        let pairs = [
            ("onAccent", &on_accent, "accent", &accent),
            ("text", &text, "background", &background),
            ("text", &text, "surface", &surface),
            ("mutedText", &muted_text, "background", &background),
            ("danger", &danger, "background", &background),
        ];
        let low = pairs.into_iter().filter(|(_, text, _, behind)| text.contrast(behind) < MIN_CONTRAST);
        low.map(|(text, _, behind, _)| LowContrast { palette, text, behind }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_what_a_browser_sends() {
        for origin in [
            "https://app.example.com",
            "https://app.example.com:8443",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "https://xn--bcher-kva.example",
        ] {
            assert!(origin.parse::<Origin>().is_ok(), "{origin}");
        }
        for origin in [
            "",
            "*",
            "null",
            "app.example.com",
            "http://app.example.com",
            "http://localhost.example.com",
            "https://app.example.com/",
            "https://app.example.com:443",
            "https://App.example.com",
            "https://*.example.com",
            "https://user@app.example.com",
            "https://bücher.example",
            "https://app.example.com?x",
            "https://a.example https://b.example",
            "https://a.example;script-src *",
            "ftp://localhost",
            "https://[::1]:8443",
            &format!("https://{}.example", "a".repeat(260)),
            "file:///etc/passwd",
        ] {
            assert!(origin.parse::<Origin>().is_err(), "{origin}");
        }
    }

    #[test]
    fn default_palettes_have_enough_contrast() {
        let own = Palettes { light: Some(Palette::default()), dark: Some(Palette::default()) };
        assert_eq!(own.low_contrasts(), []);
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        let ratio = |one: &str, other: &str| {
            let ratio = one.parse::<Color>().unwrap().contrast(&other.parse().unwrap());
            (ratio * 100.0).round() / 100.0
        };
        assert_eq!(ratio("#000000", "#ffffff").to_string(), "21");
        assert_eq!(ratio("#777777", "#FFFFFF").to_string(), "4.48");
        assert_eq!(ratio("#767676", "#ffffff").to_string(), "4.54");
    }

    #[test]
    fn each_low_contrast_is_named() {
        let found = |light: Palette| {
            let found = Palettes { light: Some(light), dark: None }.low_contrasts();
            found.into_iter().map(|low| (low.palette, low.text, low.behind)).collect::<Vec<_>>()
        };
        let color = |text: &str| Some(text.parse::<Color>().unwrap());
        let accent = Palette { accent: color("#eeeeee"), ..Palette::default() };
        assert_eq!(found(accent), [("light", "onAccent", "accent")]);
        let surface = Palette { surface: color("#777777"), ..Palette::default() };
        assert_eq!(found(surface), [("light", "text", "surface")]);
        let background = Palette { background: color("#777777"), ..Palette::default() };
        assert_eq!(
            found(background),
            [("light", "text", "background"), ("light", "mutedText", "background"), ("light", "danger", "background")]
        );
    }
}
