//! Bare loops: sequentially send ten entries to a bus with the SDK, send one POST with an HTTP
//! client, or create one ES256 signature with a key that is parsed each time. Writes the processor
//! time of one iteration in nanoseconds to the file named by `ANSWER`.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::rt::TokioExecutor;
use lambda_http::Error;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, count, detail, url] = arguments.as_slice() else {
        return Err("usage: bare_loop (events|posts|signatures) COUNT BODY URL".into());
    };
    let count: u32 = count.parse()?;
    let started = match kind.as_str() {
        "events" => put_events(count, detail).await?,
        "posts" => post(count, detail, url).await?,
        "signatures" => sign(count, detail)?,
        other => return Err(format!("unknown loop {other}").into()),
    };
    let text = ((processor_time()? - started) / u64::from(count)).to_string();
    std::fs::write(std::env::var("ANSWER")?, text)?;
    Ok(())
}

async fn put_events(count: u32, detail: &str) -> Result<u64, Error> {
    let client = Client::new(&tenon::aws::config()?);
    let entry = PutEventsRequestEntry::builder().source("bench").detail_type("bench").event_bus_name("bench");
    let entry = entry.detail(detail).build();
    let put = || client.put_events().set_entries(Some(vec![entry.clone(); 10])).send();
    put().await?;
    let started = processor_time()?;
    for _ in 0..count {
        put().await?;
    }
    Ok(started)
}

async fn post(count: u32, body: &str, url: &str) -> Result<u64, Error> {
    let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let body = Bytes::from(body.to_owned());
    let post = async || {
        let request = Request::post(url).header("content-type", "application/json").body(Full::new(body.clone()))?;
        let response = client.request(request).await?;
        if !response.status().is_success() {
            return Err("the receiver refused a request".into());
        }
        response.into_body().collect().await?;
        Ok::<_, Error>(())
    };
    post().await?;
    let started = processor_time()?;
    for _ in 0..count {
        post().await?;
    }
    Ok(started)
}

fn sign(count: u32, message: &str) -> Result<u64, Error> {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| "failed to generate a key")?;
    let sign = || {
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).map_err(|_| "failed to parse the key")?;
        pair.sign(&random, message.as_bytes()).map_err(|_| "failed to sign")
    };
    sign()?;
    let started = processor_time()?;
    for _ in 0..count {
        std::hint::black_box(sign()?);
    }
    Ok(started)
}

/// Returns the processor time of this process in nanoseconds.
fn processor_time() -> Result<u64, Error> {
    // The kernel updates the count of a running thread when it sleeps.
    std::thread::sleep(std::time::Duration::from_millis(5));
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
}
