//! Egress guard against non-public addresses, tested with the connector that sends webhooks.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::Uri;
use tenon::{
    delivery::guard::{EgressRules, GuardedConnector, is_public},
    domain::webhook::WebhookUrl,
};
use tests::webhook_receiver::Receiver;
use tower::Service;

fn rules(allow_loopback: bool) -> EgressRules {
    EgressRules { ports: vec![443], allow_loopback }
}

/// Spellings of addresses that webhooks must not reach.
const FORBIDDEN: &[&str] = &[
    // This network, loopback and its names
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "localhost",
    "localhost.",
    "LOCALHOST",
    // Decimal, octal, hexadecimal and mixed notations
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F.1",
    "0177.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "127.0.0.0x1",
    "0",
    "0x0",
    "00",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.0xfe.43518",
    "3232235521",
    "0xc0a80001",
    // Digits of other scripts, full-width letters and dots
    "①②⑦.⓪.⓪.①",
    "１２７.０.０.１",
    "127。0。0。1",
    "127．0．0．1",
    "%31%32%37.0.0.1",
    "ｌｏｃａｌｈｏｓｔ",
    // Private, link-local with the metadata services, shared
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.20.10.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.1.254",
    "192.168.255.255",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "100.64.0.1",
    "100.127.255.255",
    // Protocol assignments, documentation, benchmarks, relays
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "198.18.0.1",
    "198.19.255.255",
    "192.88.99.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.175.48.1",
    // Multicast, reserved, broadcast
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "254.1.2.3",
    "255.255.255.255",
    "0xffffffff",
    "4294967295",
    // IPv6: unspecified, loopback, mapped, compatible
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:8.8.8.8]",
    "[::ffff:192.168.0.1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    // Unique local with the metadata service, link-local, site-local, multicast
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fdff:ffff::1]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[febf::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
    // NAT64, local NAT64, 6to4, Teredo, ORCHID, benchmarks, documentation, discard, SRv6
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::10.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[2001::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[2001:2::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[3ffe::1]",
    "[100::1]",
    "[5f00::1]",
    "[2620:4f:8000::1]",
    "[4000::1]",
];

/// Returns the deployed connector with a resolver that maps every name to loopback.
fn connector(loopback: bool) -> GuardedConnector {
    GuardedConnector::with_resolver(rules(loopback), |_, port| {
        Box::pin(async move { Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]) })
    })
}

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_dialed() {
    assert!(FORBIDDEN.len() >= 100);
    for host in FORBIDDEN {
        // Some spellings are invalid URLs, and some are rejected when the webhook is saved. The
        // connector rejects the others.
        let Ok(url) = format!("https://{host}/errors").parse::<WebhookUrl>() else { continue };
        let saved = rules(false).check_url(&url);
        let uri: Uri = url.as_str().parse().unwrap();
        let dialed = connector(false).call(uri.clone()).await;
        let error = dialed.expect_err(host);
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{host} as {uri}: {error}");
        let name = uri.host().unwrap().trim_matches(['[', ']', '.']);
        let is_local = name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost");
        assert_eq!(saved.is_err(), is_local, "{host} as {uri}: addresses are rejected when saved");
    }
}

#[tokio::test]
async fn ambiguous_address_spellings_are_invalid_urls() {
    for host in
        ["[fe80::1%25eth0]", "[fe80::1%eth0]", "[::1%25lo]", "127.0.0.1:80@example.com", "exa mple.com", "[::1", "::1"]
    {
        let url = format!("https://{host}/").parse::<WebhookUrl>();
        assert!(url.is_err(), "{host}: {url:?}");
    }
}

#[tokio::test]
async fn dns_rebinding_cannot_reach_loopback() {
    // The receiver on loopback would answer if it were dialed.
    let receiver = Receiver::new().await;
    let port: u16 = receiver.url.rsplit(':').next().unwrap().trim_end_matches("/errors").parse().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let rules = EgressRules { ports: vec![443, port], allow_loopback: false };
    let mut connector = GuardedConnector::with_resolver(rules.clone(), move |_, port| {
        // The first response is public, and all later ones are loopback.
        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        // A public address that is not routed here. TEST-NET addresses would be rejected.
        let address = if first { [192, 0, 1, 1] } else { [127, 0, 0, 1] };
        Box::pin(async move { Ok(vec![SocketAddr::from((address, port))]) })
    });
    let uri: Uri = format!("https://changes.example:{port}/").parse().unwrap();
    let first = connector.call(uri.clone()).await.expect_err("nothing answers at this address");
    assert_ne!(first.kind(), std::io::ErrorKind::PermissionDenied, "a public address is dialed");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "a name is resolved once per connection");
    let second = connector.call(uri).await.expect_err("the loopback address is rejected");
    assert_eq!(second.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn only_public_addresses_of_a_dns_response_are_dialed() {
    let receiver = Receiver::new().await;
    let port: u16 = receiver.url.rsplit(':').next().unwrap().trim_end_matches("/errors").parse().unwrap();
    let mixed = [[10, 0, 0, 1], [127, 0, 0, 1], [169, 254, 169, 254]];
    let mut connector =
        GuardedConnector::with_resolver(EgressRules { ports: vec![port], allow_loopback: false }, move |_, port| {
            Box::pin(async move { Ok(mixed.map(|address| SocketAddr::from((address, port))).to_vec()) })
        });
    let refused = connector.call(format!("https://mixed.example:{port}/").parse().unwrap()).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn plain_http_is_limited_to_loopback_in_local_mode() {
    let receiver = Receiver::new().await;
    let uri: Uri = receiver.url.parse().unwrap();
    assert!(connector(true).call(uri.clone()).await.is_ok());
    assert!(connector(false).call(uri).await.is_err());
    // A loopback name that resolves to another machine.
    let mut elsewhere = GuardedConnector::with_resolver(rules(true), |_, port| {
        Box::pin(async move { Ok(vec![SocketAddr::from(([10, 0, 0, 1], port))]) })
    });
    let refused = elsewhere.call("http://localhost:8080/".parse().unwrap()).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    for (url, allowed) in [
        ("http://127.0.0.1:8080/", true),
        ("http://[::1]:8080/", true),
        ("http://localhost:8080/", true),
        ("http://example.com/", false),
        ("http://10.0.0.1/", false),
        ("http://[::ffff:127.0.0.1]/", false),
        ("https://127.0.0.1/", false),
        ("https://localhost/", false),
        ("https://hooks.localhost./", false),
        ("https://intranet/", false),
        ("https://intranet./", false),
        ("https://localhost.example/", true),
    ] {
        assert_eq!(rules(true).check_url(&url.parse().unwrap()).is_ok(), allowed, "{url}");
    }
}

#[test]
fn addresses_next_to_forbidden_ranges_are_public() {
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2600:1f18::1",
        "2a00::1",
        "2003::1",
        "2001:200::1",
    ] {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}
