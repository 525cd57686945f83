//! Process that crashes at a chosen AWS call: before the request is sent, or after it was processed
//! and before the response arrives. It can also stall before the call.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use tokio::sync::Notify;

use crate::intercepted::intercepted;

/// Crash or stall of a process at one of its AWS calls.
#[derive(Clone, Debug)]
pub struct Crash {
    calls_left: Arc<AtomicI64>,
    after_call: Arc<AtomicBool>,
    stopped: Arc<Notify>,
    resumed: Arc<Notify>,
}

impl Crash {
    /// Returns a configuration for the clients of a process that can crash, and the crash.
    pub fn wrap(config: &SdkConfig) -> (SdkConfig, Self) {
        let crash = Self {
            calls_left: Arc::new(AtomicI64::new(i64::MAX)),
            after_call: Arc::default(),
            stopped: Arc::default(),
            resumed: Arc::default(),
        };
        let stopping = crash.clone();
        (intercepted(config, move |connector, request| stopping.call(connector, request)), crash)
    }

    /// Runs a future as a process that crashes at the AWS call of this index. Returns `None` if it
    /// crashed.
    pub async fn at<T>(&self, call: i64, after_call: bool, running: impl Future<Output = T>) -> Option<T> {
        self.after_call.store(after_call, Ordering::SeqCst);
        self.calls_left.store(call, Ordering::SeqCst);
        let ended = tokio::select! {
            ended = running => Some(ended),
            () = self.stopped.notified() => None,
        };
        self.calls_left.store(i64::MAX, Ordering::SeqCst);
        ended
    }

    /// Runs a future as a process that stalls before the AWS call of this index until another
    /// future has ended. Returns the result of the latter too, or `None` if it made fewer calls.
    pub async fn stall<T, M>(
        &self,
        call: i64,
        running: impl Future<Output = T>,
        meanwhile: impl Future<Output = M>,
    ) -> (T, Option<M>) {
        let mut running = pin!(running);
        self.after_call.store(false, Ordering::SeqCst);
        self.calls_left.store(call, Ordering::SeqCst);
        tokio::select! {
            ended = &mut running => {
                self.calls_left.store(i64::MAX, Ordering::SeqCst);
                (ended, None)
            }
            () = self.stopped.notified() => {
                let ended_meanwhile = meanwhile.await;
                self.resumed.notify_one();
                (running.await, Some(ended_meanwhile))
            }
        }
    }

    fn call(&self, connector: &SharedHttpConnector, request: HttpRequest) -> HttpConnectorFuture {
        if self.calls_left.fetch_sub(1, Ordering::SeqCst) != 0 {
            return connector.call(request);
        }
        let (crash, connector) = (self.clone(), connector.clone());
        HttpConnectorFuture::new(async move {
            if crash.after_call.load(Ordering::SeqCst) {
                let _ = connector.call(request).await;
                crash.stopped.notify_one();
                return std::future::pending().await;
            }
            crash.stopped.notify_one();
            crash.resumed.notified().await;
            connector.call(request).await
        })
    }
}
