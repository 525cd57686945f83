//! Connections that know when they were opened.
//!
//! While a function is frozen, servers and gateways close its idle connections. The function may
//! notice only when it uses such a connection, so an error of a connection that was open before the
//! request says nothing about the server.

use std::{
    error, io, iter,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use http::Extensions;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        Error,
        connect::{Connected, Connection},
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;

/// TCP connection, with the time at which it was opened.
#[derive(Debug)]
pub(super) struct TimestampedConnection {
    stream: TokioIo<TcpStream>,
    at: OpenedAt,
}

/// Time at which a connection was opened.
#[derive(Clone, Copy, Debug)]
struct OpenedAt(Instant);

impl TimestampedConnection {
    /// Wraps a connection that was just opened.
    pub(super) fn now(stream: TokioIo<TcpStream>) -> Self {
        Self { stream, at: OpenedAt(Instant::now()) }
    }
}

/// Returns whether a request that started at `started` failed because a connection broke that was
/// open before. Not if the endpoint answered: it reset the request's stream of an HTTP/2
/// connection, or sent something that is not valid HTTP.
pub(super) fn failed_on_reused_connection(error: &Error, started: Instant) -> bool {
    if is_invalid_response(error) || sources(error).filter_map(|source| source.downcast_ref()).any(is_refusal) {
        return false;
    }
    let mut extras = Extensions::new();
    if let Some(connection) = error.connect_info() {
        connection.get_extras(&mut extras);
    }
    extras.get().is_some_and(|OpenedAt(at)| *at < started)
}

/// Returns whether an endpoint refused a request whose processing it may have begun (RFC 9113,
/// section 8.7).
fn is_refusal(error: &h2::Error) -> bool {
    error.is_reset() && error.reason() != Some(h2::Reason::REFUSED_STREAM)
}

/// Returns whether a request failed because the response is not valid HTTP.
pub(super) fn is_invalid_response(error: &Error) -> bool {
    sources(error).filter_map(|source| source.downcast_ref()).any(hyper::Error::is_parse)
}

/// Returns an error and what caused it.
fn sources(error: &Error) -> impl Iterator<Item = &(dyn error::Error + 'static)> {
    let first: &(dyn error::Error + 'static) = error;
    iter::successors(Some(first), |error| error.source())
}

impl Connection for TimestampedConnection {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.at)
    }
}

impl Read for TimestampedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for TimestampedConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
}
