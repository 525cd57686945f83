//! Errors of the store, the vault and the signing keys: AWS is busy, or an internal error.

use std::sync::Arc;

use super::Problem;
use crate::{store::StoreError, tokens::KeyError, vault::VaultError};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        if error.is_transient() { Self::busy(error) } else { Self::internal(error) }
    }
}

impl From<Arc<StoreError>> for Problem {
    fn from(error: Arc<StoreError>) -> Self {
        Self::from(&*error)
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match &error {
            VaultError::Busy(_) => Self::busy(&error),
            VaultError::Refused(_) | VaultError::Undecryptable | VaultError::Random => Self::internal(&error),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Vault(error) => error.into(),
            KeyError::Store(error) => error.into(),
            KeyError::NoSigningKey | KeyError::Unusable => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::{StatusCode, header};

    use super::{super::tests::body, *};

    #[tokio::test]
    async fn inner_errors_are_not_sent_to_the_caller() {
        let inside = StoreError::Refused("table tenon-Directory-X of account 111111111111".into());
        let document = body(inside.into()).await.to_string();
        assert!(!document.contains("Directory") && !document.contains("1111"), "{document}");
    }

    #[test]
    fn unavailable_response_has_retry_after() {
        let response = Problem::from(StoreError::Busy("throttled".into())).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
