//! `GET /errors/{errorId}`. AWS calls: three concurrent DynamoDB queries, a read, and a concurrent
//! query and read.

use axum::{
    extract,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenon::{
    domain::{
        delivery::Delivery,
        error_log::ErrorDocument,
        id::{EnvironmentId, ErrorId},
        record::{Record, RecordId},
    },
    http::{Backend, Json, NoInput, Path, Problem},
    start::FromAws,
    store::{ReadOnly, StoreError, deliveries::Deliveries, destinations::Destinations, records::Records},
};
use utoipa::ToSchema;

/// Error with its deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorWithDeliveries<'a> {
    /// Error.
    #[serde(flatten)]
    error: ErrorDocument<'a>,
    /// Deliveries of the error, one per destination.
    deliveries: Vec<Delivery>,
}

/// State of the functions that return a record with its deliveries.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = 3)]
pub struct RecordState {
    destinations: Destinations<ReadOnly>,
    records: Records,
    deliveries: Deliveries<ReadOnly>,
}

impl RecordState {
    /// Returns a record with its deliveries.
    pub(crate) async fn find(
        &self,
        environment: EnvironmentId,
        id: RecordId,
    ) -> Result<Option<(Record, Vec<Delivery>)>, StoreError> {
        let (found, destinations) =
            tokio::try_join!(self.records.get(environment, id), self.destinations.ids_including_deleted(environment),)?;
        let Some(record) = found else { return Ok(None) };
        let deliveries = self.deliveries.list_by_record(&record, &destinations).await?;
        Ok(Some((record, deliveries)))
    }
}

/// Returns an error with its deliveries. If several workflows have an error with this id, one of
/// them is returned.
#[utoipa::path(get, path = "/errors/{errorId}", tag = "errors", security(("apiKey" = ["manage"])),
    responses((status = 200, body = ErrorWithDeliveries)))]
pub async fn get_error(
    caller: Backend,
    extract::State(state): extract::State<RecordState>,
    Path(id): Path<ErrorId>,
    _: NoInput,
) -> Result<Response, Problem> {
    match state.find(caller.environment, RecordId::Error { error_id: id }).await? {
        Some((Record::Error(error), deliveries)) => {
            Ok(Json(ErrorWithDeliveries { error: error.document(), deliveries }).into_response())
        }
        _ => Err(Problem::not_found("error")),
    }
}
