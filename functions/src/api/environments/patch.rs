//! `PATCH /environment`. AWS calls: one DynamoDB read and one write; both again after a conflict
//! with a concurrent request.

use std::collections::HashSet;

use axum::extract::State;
use serde_json::Value;
use tenon::{
    domain::{
        modal::{Color, Font, Language, MAX_ORIGINS, Modal, Origin, Palette, Palettes, Scheme, Theme},
        patch::Patch,
    },
    http::{Backend, Conflicts, Fields, FromJson, IfMatch, Input, Location, OrNotFound, Problem, Revised, Valid},
    store::environments::Environments,
};
use utoipa::{PartialSchema, ToSchema};

use super::{EnvironmentBody, revised};

/// Changes to an environment; absent members remain unchanged.
#[derive(Clone, Debug, Input, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchEnvironment {
    /// Defaults of the embedded modal; null clears them all.
    #[schema(value_type = Option<PatchModal>)]
    modal: Patch<PatchModal>,
}

/// Changes to the defaults of the modal; absent members remain unchanged, null clears them.
#[derive(Clone, Debug, Input, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchModal {
    /// Origins of the pages that may embed the modal, at most 20.
    #[schema(value_type = Option<Vec<Origin>>, max_items = 20)]
    origins: Patch<Origins>,
    /// Theme: `light`, `dark`, `auto`, or palettes of its own.
    #[schema(value_type = Option<ThemeInput>)]
    theme: Patch<ThemeInput>,
    /// Language.
    #[schema(value_type = Option<Language>)]
    lang: Patch<Language>,
}

/// List of origins, without repetitions.
#[derive(Clone, Debug)]
struct Origins(Vec<Origin>);

impl FromJson for Origins {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        let mut origins: Vec<Origin> = location.list(value, 0..=MAX_ORIGINS)?;
        let mut seen = HashSet::new();
        origins.retain(|origin| seen.insert(origin.as_str().to_owned()));
        Some(Self(origins))
    }
}

/// Theme that is read from a request.
#[derive(Clone, Debug)]
struct ThemeInput(Theme);

/// Palettes of a theme.
#[derive(Clone, Debug, Input, ToSchema)]
#[serde(deny_unknown_fields)]
#[input(check(check_light: light), check(check_dark: dark))]
struct PalettesInput {
    /// Palette for light display.
    light: Option<PaletteInput>,
    /// Palette for dark display.
    dark: Option<PaletteInput>,
}

/// Colors, radius and font; absent members have their default.
#[derive(Clone, Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PaletteInput {
    /// Color of buttons and links.
    accent: Option<Color>,
    /// Color of text on the accent color.
    on_accent: Option<Color>,
    /// Color behind the content.
    background: Option<Color>,
    /// Color of cards.
    surface: Option<Color>,
    /// Color of text.
    text: Option<Color>,
    /// Color of secondary text.
    muted_text: Option<Color>,
    /// Color of borders.
    border: Option<Color>,
    /// Color of warnings.
    danger: Option<Color>,
    /// Radius of corners in pixels.
    #[input(max = 24)]
    #[schema(maximum = 24)]
    radius: Option<usize>,
    /// Font family.
    font: Option<Font>,
}

impl FromJson for ThemeInput {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        if let Value::String(text) = value {
            return match text.parse() {
                Ok(scheme) => Some(Self(Theme::Scheme(scheme))),
                Err(error) => location.reject(format_args!("{error}, or an object with `light` and `dark`")),
            };
        }
        let PalettesInput { light, dark } = PalettesInput::from_json(value, location)?;
        let palettes = Palettes { light: light.map(Palette::from), dark: dark.map(Palette::from) };
        Some(Self(Theme::Palettes(Box::new(palettes))))
    }
}

impl PartialSchema for ThemeInput {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{OneOfBuilder, Ref};
        OneOfBuilder::new().item(Ref::from_schema_name("Scheme")).item(Ref::from_schema_name("PalettesInput")).into()
    }
}

impl ToSchema for ThemeInput {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        schemas.push((Scheme::name().into(), Scheme::schema()));
        schemas.push((PalettesInput::name().into(), PalettesInput::schema()));
        PalettesInput::schemas(schemas);
    }
}

impl From<PaletteInput> for Palette {
    fn from(input: PaletteInput) -> Self {
        let PaletteInput { accent, on_accent, background, surface, text, muted_text, border, danger, radius, font } =
            input;
        let radius = radius.and_then(|radius| u8::try_from(radius).ok());
        Self { accent, on_accent, background, surface, text, muted_text, border, danger, radius, font }
    }
}

fn check_light(fields: &mut Fields<'_>, light: &Option<PaletteInput>) {
    check_contrast(fields, &Palettes { light: light.clone().map(Palette::from), dark: None });
}

fn check_dark(fields: &mut Fields<'_>, dark: &Option<PaletteInput>) {
    check_contrast(fields, &Palettes { light: None, dark: dark.clone().map(Palette::from) });
}

fn check_contrast(fields: &mut Fields<'_>, palettes: &Palettes) {
    for low in palettes.low_contrasts() {
        let detail = format!("needs a contrast of at least 4.5:1 to `{}`", low.behind);
        fields.reject_at(&[low.palette, low.text], detail);
    }
}

/// Changes the defaults of the embedded modal.
#[utoipa::path(patch, path = "/environment", tag = "environment", security(("apiKey" = ["manage"])), params(IfMatch),
    request_body = PatchEnvironment,
    responses((status = 200, body = EnvironmentBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 409, description = "the environment was modified by concurrent requests")))]
pub async fn patch_environment(
    caller: Backend,
    State(environments): State<Environments>,
    if_match: IfMatch,
    Valid(body): Valid<PatchEnvironment>,
) -> Result<Revised<EnvironmentBody>, Problem> {
    let mut conflicts = Conflicts::new("environment");
    loop {
        let before = environments.get(caller.environment).await?.or_not_found("environment")?;
        let modal = changed(&before.modal, body.modal.clone());
        if_match.check_revision(before.version)?;
        if modal == before.modal {
            return Ok(revised(before, caller.scope));
        }
        if let Some(after) = environments.set_modal(&before, &modal).await? {
            return Ok(revised(after, caller.scope));
        }
        conflicts.retry().await?;
    }
}

fn changed(before: &Modal, change: Patch<PatchModal>) -> Modal {
    match change {
        Patch::Absent => before.clone(),
        Patch::Null => Modal::default(),
        Patch::Set(PatchModal { origins, theme, lang }) => Modal {
            origins: origins.apply(Some(Origins(before.origins.clone()))).map(|Origins(list)| list).unwrap_or_default(),
            theme: theme.apply(before.theme.clone().map(ThemeInput)).map(|ThemeInput(theme)| theme),
            lang: lang.apply(before.lang),
        },
    }
}
