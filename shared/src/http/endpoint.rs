//! Handlers of endpoints, and the order in which their arguments refuse a request.

use std::{future::Future, pin::Pin};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts},
    handler::Handler,
    response::{IntoResponse, Response},
};
use http::Request;

use super::{Caller, RequestInput};

/// Handler of an endpoint, whose arguments start with its [`Caller`] and end with its
/// [`RequestInput`], so that neither the check of the caller nor that of unknown fields can be
/// omitted.
///
/// The caller refuses a request first (401, 403), then the input (400, 413, 415, 422), then the
/// others, such as a [`Path`](super::Path) that identifies no resource (404).
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<H>(pub H);

/// Arguments of the handler of an [`Endpoint`].
pub trait EndpointArguments {
    /// Callers that the handler admits.
    type Caller: Caller;
}

macro_rules! endpoints {
    ($(($($other:ident),*))+) => {$(
        impl<C: Caller, $($other,)* I: RequestInput> EndpointArguments for (C, $($other,)* I) {
            type Caller = C;
        }

        #[allow(non_snake_case, reason = "arguments have the names of their types")]
        impl<H, F, S, C, $($other,)* I> Handler<(C, $($other,)* I), S> for Endpoint<H>
        where
            H: Fn(C, $($other,)* I) -> F + Clone + Send + Sync + 'static,
            F: Future<Output: IntoResponse> + Send,
            S: Send + Sync + 'static,
            C: Caller + FromRequestParts<S> + Send,
            $($other: FromRequestParts<S> + Send,)*
            I: RequestInput + FromRequest<S> + Send,
        {
            type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

            fn call(self, request: Request<Body>, state: S) -> Self::Future {
                Box::pin(async move {
                    let (mut parts, body) = request.into_parts();
                    let answer = async {
                        let C = C::from_request_parts(&mut parts, &state).await.map_err(C::Rejection::into_response)?;
                        $(
                            let $other = $other::from_request_parts(&mut parts, &state)
                                .await
                                .map_err($other::Rejection::into_response);
                        )*
                        let request = Request::from_parts(parts, body);
                        let I = I::from_request(request, &state).await.map_err(I::Rejection::into_response)?;
                        Ok((self.0)(C, $($other?,)* I).await.into_response())
                    };
                    answer.await.unwrap_or_else(|refusal| refusal)
                })
            }
        }
    )+};
}

endpoints! {
    ()
    (A)
    (A, B)
    (A, B, D)
    (A, B, D, E)
}
