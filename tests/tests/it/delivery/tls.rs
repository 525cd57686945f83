//! Webhooks over TLS, to a server with a self-signed certificate.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use http::{Response, Uri, Version};
use http_body_util::Full;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
use tenon::{
    delivery::{
        guard::EgressRules,
        webhook::{WebhookSender, new_secret, seal_secret},
    },
    domain::{
        delivery::{Failure, Outcome, Route},
        id::{DestinationId, EnvironmentId},
        webhook::Webhook,
    },
    vault::Vault,
};
use tests::{aws, eventually, setting};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Barrier,
};
use tower::util::BoxCloneSyncService;

/// TLS server on loopback with a certificate for `hooks.example`.
struct Server {
    address: SocketAddr,
    certificate: rustls::pki_types::CertificateDer<'static>,
    connections: Arc<AtomicUsize>,
    /// Number of connections that are open, with or without a handshake.
    open: Arc<AtomicUsize>,
    versions: Arc<Mutex<Vec<Version>>>,
    /// Whether requests are reset instead of answered.
    resets: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server that offers these protocols.
    async fn offering(protocols: &[&str]) -> Self {
        Self::answering(protocols, usize::MAX).await
    }

    /// Starts a server that answers only the handshakes of the first connections.
    async fn answering(protocols: &[&str], handshakes: usize) -> Self {
        Self::named(vec!["hooks.example".to_owned()], protocols, handshakes).await
    }

    /// Starts a server with a certificate for these names.
    async fn named(names: Vec<String>, protocols: &[&str], handshakes: usize) -> Self {
        let signed = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = signed.cert.der().clone();
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            certificate,
            connections: Arc::default(),
            open: Arc::default(),
            versions: Arc::default(),
            resets: Arc::default(),
        };
        let resets = server.resets.clone();
        let (connections, open, versions) = (server.connections.clone(), server.open.clone(), server.versions.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, open, versions, resets) =
                    (acceptor.clone(), open.clone(), versions.clone(), resets.clone());
                tokio::spawn(async move {
                    let _open = Open::count(open);
                    if number >= handshakes {
                        let mut stream = stream;
                        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap();
                        return;
                    }
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        versions.lock().unwrap().push(request.version());
                        let is_reset = resets.load(Ordering::SeqCst);
                        async move { if is_reset { Err("reset") } else { Ok(Response::new(Full::new("ok".as_bytes()))) } }
                    });
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        server
    }

    /// Returns a sender that resolves all names to the server, optionally trusting its certificate.
    async fn sender(&self, trusts: bool) -> (WebhookSender, Route, Webhook) {
        self.sender_of(trusts, 1).await
    }

    /// Returns a sender like [`Self::sender`] that opens this number of connections at the same
    /// time.
    async fn sender_of(&self, trusts: bool, concurrent: usize) -> (WebhookSender, Route, Webhook) {
        let (address, all_opening) = (self.address, Arc::new(Barrier::new(concurrent)));
        let connector = tower::service_fn(move |_: Uri| {
            let all_opening = all_opening.clone();
            async move {
                all_opening.wait().await;
                TcpStream::connect(address).await.map(TokioIo::new)
            }
        });
        let mut roots = RootCertStore::empty();
        if trusts {
            roots.add(self.certificate.clone()).unwrap();
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let vault = Vault::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("DESTINATIONS_KEY"));
        let route = Route { environment: EnvironmentId::new(), destination: DestinationId::new() };
        let webhook = Webhook {
            url: "https://hooks.example/errors".parse().unwrap(),
            description: None,
            secret: seal_secret(&vault, route, 1, &new_secret().unwrap()).await.unwrap(),
            previous: Vec::new(),
        };
        let rules = EgressRules { ports: vec![443], allow_loopback: false };
        (WebhookSender::with_connector(BoxCloneSyncService::new(connector), rules, vault, Some(tls)), route, webhook)
    }
}

/// Open connection, which is counted.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn count(open: Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn endpoint_that_ends_no_handshake_keeps_no_connections_open() {
    let server = Server::answering(&["h2"], 1).await;
    let (sender, route, webhook) = server.sender_of(true, 20).await;
    // The first connection serves the requests that have begun to open others.
    let sent = futures_util::future::join_all((0..20).map(|_| sender.send_test(route, &webhook))).await;
    assert!(sent.iter().any(|outcome| matches!(outcome, Outcome::Delivered(_))), "{sent:?}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 20);
    eventually("the other connections are closed", async || (server.open.load(Ordering::SeqCst) <= 1).then_some(()))
        .await;
}

#[tokio::test]
async fn webhooks_negotiate_http_2_and_reuse_connections() {
    for (protocols, version) in
        [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)]
    {
        let server = Server::offering(protocols).await;
        let (sender, route, webhook) = server.sender(true).await;
        for _ in 0..3 {
            let outcome = sender.send_test(route, &webhook).await;
            assert!(matches!(&outcome, Outcome::Delivered(attempt) if attempt.response == "ok"), "{outcome:?}");
        }
        assert_eq!(*server.versions.lock().unwrap(), [version; 3]);
        assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn request_that_an_http_2_endpoint_resets_is_not_sent_again() {
    let server = Server::offering(&["h2"]).await;
    let (sender, route, webhook) = server.sender(true).await;
    assert!(matches!(sender.send_test(route, &webhook).await, Outcome::Delivered(_)));
    server.resets.store(true, Ordering::SeqCst);
    assert!(matches!(sender.send_test(route, &webhook).await, Outcome::Failed(_, Failure::Unreachable)));
    assert_eq!(server.versions.lock().unwrap()[..], [Version::HTTP_2; 2]);
}

#[tokio::test]
async fn attempt_is_stored_in_part_if_a_certificate_has_many_other_names() {
    let names = (0..500).map(|n| format!("shop-{n}.hosting.example")).collect();
    let server = Server::named(names, &["http/1.1"], usize::MAX).await;
    let (sender, route, webhook) = server.sender(true).await;
    let outcome = sender.send_test(route, &webhook).await;
    let Outcome::Failed(attempt, Failure::Unreachable) = outcome else { panic!("{outcome:?}") };
    assert!(attempt.response.contains("TLS error") && attempt.response.contains("shop-0"), "{attempt:?}");
    assert!(attempt.response.chars().count() <= 512, "{}", attempt.response.len());
}

#[tokio::test]
async fn untrusted_certificate_prevents_delivery() {
    let server = Server::offering(&["http/1.1"]).await;
    let (sender, route, webhook) = server.sender(false).await;
    match sender.send_test(route, &webhook).await {
        Outcome::Failed(attempt, failure) => {
            assert_eq!((attempt.status, failure), (None, Failure::Unreachable));
            assert!(attempt.response.contains("TLS error"), "{attempt:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(server.versions.lock().unwrap().is_empty());
}
