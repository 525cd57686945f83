//! AWS configurations whose calls are intercepted at their HTTP layer.

use std::{fmt, sync::Arc};

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};

/// Makes a call with the connector, or answers it.
type Handler = dyn Fn(&SharedHttpConnector, HttpRequest) -> HttpConnectorFuture + Send + Sync;

/// HTTP client or connector that passes each call to a handler.
struct Intercepted<T> {
    inner: T,
    handle: Arc<Handler>,
}

/// Returns a configuration whose calls are passed to a handler.
pub(crate) fn intercepted(
    config: &SdkConfig,
    handle: impl Fn(&SharedHttpConnector, HttpRequest) -> HttpConnectorFuture + Send + Sync + 'static,
) -> SdkConfig {
    let client = Intercepted { inner: config.http_client().unwrap(), handle: Arc::new(handle) };
    config.clone().into_builder().http_client(SharedHttpClient::new(client)).build()
}

impl<T> fmt::Debug for Intercepted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercepted").finish_non_exhaustive()
    }
}

impl HttpClient for Intercepted<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Intercepted { inner, handle: self.handle.clone() })
    }
}

impl HttpConnector for Intercepted<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        (self.handle)(&self.inner, request)
    }
}
