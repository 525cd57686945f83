//! `make bench`: measures start-up, request cost, forwarding throughput, arrival times, list pages
//! and binary sizes on this machine, and compares them with minimal handwritten programs.
//!
//! Figures are compared within one run only, and no test depends on them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark that cannot measure stops with a message"
)]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a command reports to its terminal")]
#![allow(unreachable_pub, reason = "the modules of a binary are visible only to each other")]

mod aws;
mod document;
mod figures;
mod forwarding;
mod load;
mod local;
mod memory;
mod process;
mod requests;
mod runtime;
mod scale;
mod starts;
mod sustained;

use process::Functions;
use tests::setting;

/// Parts that can be measured separately.
const PARTS: [&str; 9] =
    ["starts", "first", "requests", "forwarding", "load", "sustained", "arrivals", "scale", "sizes"];

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // Without arguments, all parts are measured and the page is written.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for argument in &arguments {
        assert!(PARTS.contains(&argument.as_str()), "unknown part {argument}; available parts: {}", PARTS.join(", "));
    }
    let wanted = |part: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == part);
    let aws = aws::Aws::in_front_of(&setting("AWS_ENDPOINT_URL")).await?;
    let certificate = tempfile::NamedTempFile::new()?;
    std::fs::write(certificate.path(), &aws.certificate)?;
    let mut settings: Vec<(String, String)> = std::env::vars().collect();
    settings.retain(|(name, _)| !name.starts_with("TENON_") && name != "AWS_ENDPOINT_URL" && name != "AWS_CA_BUNDLE");
    let functions = Functions { folder: setting("TENON_BINARIES").into(), settings };
    let head = document::head();
    print!("{head}");
    let (mut sections, mut measured) = (String::new(), document::Measured::default());
    let mut write_section = |section: String| {
        print!("{section}");
        sections += &section;
    };
    aws.replay();
    if wanted("starts") {
        measured.starts = starts::starts(&functions, &aws).await;
        write_section(document::starts(&measured.starts));
    }
    if wanted("first") {
        let mut functions = functions.clone();
        functions.settings.push(("AWS_CA_BUNDLE".into(), certificate.path().display().to_string()));
        write_section(document::first_requests(&starts::first_requests(&functions, &aws).await));
    }
    let bus = tests::Bus::new().await;
    if wanted("requests") {
        let mut scenario = requests::Scenario::new(&functions, &aws, true);
        scenario.run_all(&bus.name).await;
        measured.warm = scenario.warm;
        let signature = requests::signature(&functions, &aws).await;
        write_section(document::requests(&measured.warm, &signature));
    }
    if wanted("forwarding") {
        let recording = forwarding::recording(&functions, &aws).await;
        measured.forwarding = forwarding::forwarding(&functions, &aws, &bus.name).await;
        write_section(document::forwarding(&recording, &measured.forwarding));
    }
    if wanted("load") {
        measured.loads = load::loads().await;
        write_section(document::loads(&measured.loads));
    }
    if wanted("sustained") {
        measured.sustained = sustained::sustained(&functions, &aws).await;
        write_section(document::sustained(&measured.sustained));
    }
    if wanted("arrivals") {
        let buses = local::buses(&functions, &bus).await;
        write_section(document::arrivals(&buses, &local::arrivals().await));
    }
    if wanted("scale") {
        write_section(document::scale(&scale::scale().await));
    }
    if wanted("sizes") {
        write_section(document::sizes());
    }
    let summary = document::summary(&measured);
    print!("{summary}");
    if arguments.is_empty() {
        document::write(&format!("{head}{summary}{sections}"))?;
        document::write_invocations(&measured)?;
    }
    Ok(())
}
