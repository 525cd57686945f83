//! `GET /console`: the web page for operators. AWS calls: none.

use axum::{extract, response::Response};
use http::HeaderMap;
use tenon::{
    http::Problem,
    start::{Aws, FromAws, StartError},
};

use super::page::{Page, Sources};

/// Files of the page.
pub const SOURCES: Sources = Sources {
    markup: include_str!("page.html"),
    style: include_str!("style.css"),
    modules: &[
        ("preact.js", include_str!("preact.js")),
        ("store.js", include_str!("store.js")),
        ("route.js", include_str!("route.js")),
        ("api.js", include_str!("api.js")),
        ("destination_store.js", include_str!("destination_store.js")),
        ("data.js", include_str!("data.js")),
        ("messages.js", include_str!("messages.js")),
        ("times.js", include_str!("times.js")),
        ("ui.js", include_str!("ui.js")),
        ("forms.js", include_str!("forms.js")),
        ("dialogs.js", include_str!("dialogs.js")),
        ("catalogue.js", include_str!("catalogue.js")),
        ("names.js", include_str!("names.js")),
        ("health.js", include_str!("health.js")),
        ("chart.js", include_str!("chart.js")),
        ("time_range.js", include_str!("time_range.js")),
        ("replays.js", include_str!("replays.js")),
        ("deliveries.js", include_str!("deliveries.js")),
        ("record_panels.js", include_str!("record_panels.js")),
        ("error_groups.js", include_str!("error_groups.js")),
        ("errors.js", include_str!("errors.js")),
        ("role.js", include_str!("role.js")),
        ("destination_forms.js", include_str!("destination_forms.js")),
        ("destination_settings.js", include_str!("destination_settings.js")),
        ("destinations.js", include_str!("destinations.js")),
        ("outage.js", include_str!("outage.js")),
        ("destination.js", include_str!("destination.js")),
        ("events.js", include_str!("events.js")),
        ("preview.js", include_str!("preview.js")),
        ("integration_editor.js", include_str!("integration_editor.js")),
        ("integrations.js", include_str!("integrations.js")),
        ("installations.js", include_str!("installations.js")),
        ("workflows.js", include_str!("workflows.js")),
        ("user_dialogs.js", include_str!("user_dialogs.js")),
        ("users.js", include_str!("users.js")),
        ("environment.js", include_str!("environment.js")),
        ("main.js", include_str!("main.js")),
    ],
};

/// State of the function.
#[derive(Clone, Debug)]
pub struct State {
    page: Page,
}

impl FromAws for State {
    async fn from_aws(_: &Aws) -> Result<Self, StartError> {
        Ok(Self { page: Page::new(SOURCES) })
    }
}

/// Returns the web page for operators.
#[utoipa::path(get, path = "/console", tag = "document", security(()),
    responses((status = 200, description = "web page", content_type = "text/html"),
        (status = 304, description = "the page matches If-None-Match")))]
pub async fn get_console(
    extract::State(State { page }): extract::State<State>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    page.respond(&request, "'none'")
}
